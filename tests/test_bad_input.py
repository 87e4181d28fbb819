"""Whatever comes in: a sentence that says what to do, no program's trouble, nothing lost, and the gateway goes on."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

import httpx
import pytest
import pytest_asyncio

from files import picture, png_claiming
from gateways import (
    CHATELIER,
    PATIENCE,
    Guest,
    Here,
    Process,
    Refusal,
    configured,
    gateway,
    gateway_process,
    guest,
    on_server,
    said,
    sentences,
    sketch_process,
)

WORKFLOWS = Path(__file__).parent / "data" / "workflows"
GOOD = "/make a red fox in the snow --width 64 --height 64 --steps 2"
SHORT = {"queue_seconds": 2}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    async with gateway(configured(tmp_path_factory.mktemp("gateway"), http={"port": 0, "console_token": "x"})) as one:
        yield one


async def goes_on(me: Guest) -> None:
    """A good order is carried out, and nothing is left over from what went wrong."""
    assert (await me.ask(GOOD)).media
    assert not (await me.ask("/status")).buttons


# --- what people write


@pytest.mark.parametrize(
    ("text", "mends"),
    [
        ("/mkae a fox", ["/mkae", "/make"]),
        ("/nothing_like_it", ["/nothing_like_it", "/help"]),
        ("/make a fox --widht 512", ["--widht", "--width"]),
        ("/make a fox --width wide", ["width must be a whole number", "“wide”"]),
        ("/make a fox --width 999999999999", ["width must be a whole number", "to"]),
        ("/make a fox --steps", ["--steps needs a value"]),
        ("/upscale --factor much", ["factor must be a number", "“much”"]),
        ("/make --width wide", ["width must be a whole number", "“wide”"]),
        ("/show nothing", ["no such job", "/status"]),
        ("a red fox without a command", ["/make", "/help"]),
    ],
)
async def test_an_unknown_command_option_or_type(here: Here, text: str, mends: list[str]) -> None:
    async with guest(here.url) as me:
        answer = sentences(await me.ask(text))
        for word in mends:
            assert word in answer
        await goes_on(me)


@pytest.mark.parametrize("size", [30_000, 100_000])
async def test_a_prompt_that_is_far_too_long(here: Here, size: int) -> None:
    async with guest(here.url) as me:
        with pytest.raises(Refusal, match="characters long"):
            await me.say("/make " + "fox " * (size // 4))
        await goes_on(me)


async def test_a_message_that_is_no_message_at_all(here: Here) -> None:
    """Wrong JSON, wrong fields, and a megabyte and a half: the page is told, or comes back by itself."""
    async with guest(here.url) as me:
        for raw in ("not json", "[]", '{"type":"say"}', '{"type":"launch","id":"12345678"}', "x" * 1_500_000):
            await me.send_raw(raw)
        await goes_on(me)


async def test_the_prompt_of_a_hundred_kilobytes_on_the_command_line(tmp_path: Path) -> None:
    code, answer, err = await said(configured(tmp_path), "/make " + "fox " * 25_000)
    assert code == 1
    assert answer["state"] == "refused"
    assert "characters long" in answer["text"]
    assert "Traceback" not in err


# --- pictures


@pytest.mark.parametrize(
    ("data", "mends"),
    [
        (b"this is a letter, not a picture", ["picture"]),
        (b"", ["empty"]),
        (picture("PNG", 200, 200)[:500], ["picture"]),
        (picture("JPEG", 200, 200)[:700], ["picture"]),
        (png_claiming(30_000, 30_000), ["30,000", "large"]),
        (b"<svg onload=alert(1) xmlns='http://www.w3.org/2000/svg'/>", ["picture"]),
    ],
    ids=["text", "empty", "truncated png", "truncated jpeg", "enormous", "svg"],
)
async def test_a_picture_that_cannot_be_used(here: Here, data: bytes, mends: list[str]) -> None:
    async with guest(here.url) as me:
        try:
            answer = sentences(await me.ask("/upscale", await me.upload(data)))
        except Refusal as refused:
            answer = str(refused)
        assert any(word.lower() in answer.lower() for word in mends), answer
        assert answer.endswith("."), answer
        await goes_on(me)


# --- workflows


def _linked(first: str, second: str) -> dict[str, object]:
    """Two nodes that feed each other when both are named."""
    return {
        "1": {"class_type": "ImageInvert", "inputs": {"image": [first, 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": [second, 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }


BROKEN = {
    "circle": (_linked("2", "1"), "circle"),
    "editor": ({"last_node_id": 1, "nodes": [], "links": [], "version": 0.4}, "API"),
    "hole": (_linked("77", "1"), "77"),
    "letter": ("nonsense", "workflow"),
}
"""Files that are no workflows, by name, with a word of the reason."""


async def test_bad_workflow_files_are_named_with_their_reasons_and_stop_nobody(here: Here) -> None:
    folder = here.runtime.settings.workflows.folder
    paths = [folder / f"{name}.json" for name in BROKEN]
    for path in paths:
        path.write_text(json.dumps(BROKEN[path.stem][0]))
    await here.refresh()
    code, checked = await _run("workflows", "check", *map(str, paths))
    assert code == 1
    async with guest(here.url, token="x") as operator:
        refreshed = sentences(await operator.ask("/refresh"))
        for told in (refreshed, checked):
            for name, (_, reason) in BROKEN.items():
                line = next(line for line in told.splitlines() if f"{name}.json" in line)
                assert reason in told[told.index(line) :], told
        assert "no command" in (await operator.ask("/circle")).text
        await goes_on(operator)
    for path in paths:
        path.unlink()
    await here.refresh()


async def test_a_workflow_with_a_node_that_nobody_has(here: Here) -> None:
    path = here.runtime.settings.workflows.folder / "strange.json"
    path.write_bytes((WORKFLOWS / "invalid_unknown_node.json").read_bytes())
    await here.refresh()
    async with guest(here.url) as me:
        assert "NoSuchNode" in sentences(await me.ask("/strange"))
        await goes_on(me)
    path.unlink()
    await here.refresh()


# --- backends


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def test_a_backend_that_is_down_or_answers_garbage_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    async with (
        gateway(configured(tmp_path, backends=on_server(f"http://127.0.0.1:{port}"))) as here,
        guest(here.url) as me,
    ):
        card = await me.card(GOOD)
        code, doctor = await _run("doctor", "--config", str(tmp_path / "config.yaml"))
        assert code != 0
        assert "does not answer" in doctor
        async with served(tmp_path, port, "--fault", "garbage"):
            code, doctor = await _run("doctor", "--config", str(tmp_path / "config.yaml"))
            assert code != 0
            assert "is not ComfyUI" in doctor
            assert "Make a picture" in (await me.ask("/status")).text
            assert card.is_open
        async with served(tmp_path, port):
            await me.until(lambda: card.media)
            await goes_on(me)


async def test_a_backend_that_stays_down_ends_the_wait_in_words(tmp_path: Path) -> None:
    config = configured(tmp_path, backends=on_server(f"http://127.0.0.1:{free_port()}"), limits=SHORT)
    async with gateway(config) as here, guest(here.url) as me:
        text = sentences(await me.ask(GOOD))
        assert "waited too long" in text
        assert "Nothing was charged" in text


async def test_a_backend_that_is_slow_is_just_slow(tmp_path: Path) -> None:
    with sketch_process(tmp_path / "server", "--fault", "slow:1.5") as server:
        async with gateway(configured(tmp_path, backends=on_server(server.url))) as here, guest(here.url) as me:
            card = await me.card(GOOD)
            await me.until(lambda: "%" in card.text)
            assert "Make a picture" in (await me.ask("/status")).text
            await me.until(lambda: card.media)


async def test_a_backend_that_dies_in_mid_job_makes_it_after_its_restart(tmp_path: Path) -> None:
    port = free_port()
    config = configured(tmp_path, backends=on_server(f"http://127.0.0.1:{port}"))
    (tmp_path / "workflows" / "png_one_tiny.json").write_bytes((WORKFLOWS / "png_one_tiny.json").read_bytes())
    async with gateway(config) as here, guest(here.url) as me:
        async with served(tmp_path, port, "--seconds", "20") as server:
            card = await me.card("/png_one_tiny")
            await me.until(lambda: "%" in card.text)
            server.kill()
        async with served(tmp_path, port):
            await me.until(lambda: card.media)
            assert len(me.heard) == 1
            await goes_on(me)


@asynccontextmanager
async def served(folder: Path, port: int, *arguments: str) -> AsyncIterator[Process]:
    """A sketch server that starts while everything else goes on."""
    with ExitStack() as stack:
        starting = sketch_process(folder / "server", *arguments, port=port)
        yield await asyncio.to_thread(stack.enter_context, starting)


# --- the machine


@contextmanager
def no_larger_files(process: Process, size: int) -> Iterator[None]:
    """To this process the disk is full as soon as a file grows beyond `size` bytes."""
    pid = process.running.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


async def test_a_result_that_finds_no_room_waits_for_it(tmp_path: Path) -> None:
    canvas = json.loads((WORKFLOWS / "png_one.json").read_text())
    canvas["1"]["inputs"] |= {"width": 1800, "height": 1800}
    with sketch_process(tmp_path / "server") as server:
        config = configured(tmp_path, backends=on_server(server.url))
        (tmp_path / "workflows" / "large.json").write_text(json.dumps(canvas))
        with gateway_process(config) as process:
            async with guest(process.url) as me:
                with no_larger_files(process, 6_000_000):
                    card = await me.card("/large")
                    await me.until(lambda: "Fetching" in card.text)
                    with pytest.raises(Refusal, match="no room"):
                        await me.upload(b"\x89PNG\r\n\x1a\n" + bytes(7_000_000))
                    assert (await me.ask(GOOD)).media, "what is small enough goes on"
                    assert card.is_open
                await me.until(lambda: card.media)
                assert len(await me.bytes_of(card.media[0])) > 6_000_000


async def test_a_message_that_cannot_be_written_down_is_refused_in_words(tmp_path: Path) -> None:
    with gateway_process(configured(tmp_path)) as process:
        async with guest(process.url) as me:
            await me.ask("/help")
            with no_larger_files(process, 1), pytest.raises(Refusal, match="Nothing is lost"):
                await me.say(GOOD)
            await goes_on(me)
        assert "Traceback" not in process.stop()


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, told = await _run("run", "--config", str(configured(tmp_path, http={"port": port})))
    assert code == 2
    assert f"Port {port}" in told
    assert "http.port" in told


@pytest.mark.parametrize(
    ("lines", "mends"),
    [
        ("http:\n  prot: 0\n", [":3", "prot", "port"]),
        ("http:\n  token: ${NOT_SET_ANYWHERE}\n", [":3", "http.token", "NOT_SET_ANYWHERE"]),
    ],
)
async def test_a_configuration_with_a_typo(tmp_path: Path, lines: str, mends: list[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"data_dir: {tmp_path}\n{lines}")
    code, told = await _run("run", "--config", str(path))
    assert code == 2
    for word in mends:
        assert word in told


async def _run(*arguments: str) -> tuple[int, str]:
    """A command that ends by itself: its exit code and what it said."""
    running = await asyncio.create_subprocess_exec(*CHATELIER, *arguments, stdout=PIPE, stderr=STDOUT)
    out, _ = await asyncio.wait_for(running.communicate(), PATIENCE)
    told = out.decode()
    assert "Traceback" not in told
    return running.returncode or 0, told


async def test_a_page_with_a_token_without_giving_it(tmp_path: Path) -> None:
    async with gateway(configured(tmp_path, http={"port": 0, "token": "open sesame"})) as here:
        async with httpx.AsyncClient(base_url=here.url, headers={"Origin": here.url}, trust_env=False) as client:
            for path in ("/", "/chat/media/x", "/chat/page/chat.js"):
                locked = await client.get(path)
                assert locked.status_code == 401
                assert "http.token" in locked.text
            assert (await client.post("/chat/files", content=picture())).status_code == 401
            browser = await client.get("/", headers={"Accept": "text/html"})
            assert 'type="password"' in browser.text
            wrong = await client.post("/login/chat", data={"token": "sesame", "next": "/"})
            assert wrong.status_code == 401
            entered = await client.post("/login/chat", data={"token": "open sesame", "next": "/"})
            assert entered.headers["location"] == "/"
            assert "<h1>Chatelier</h1>" in (await client.get("/")).text
        async with guest(here.url, token="open sesame") as me:
            await goes_on(me)
