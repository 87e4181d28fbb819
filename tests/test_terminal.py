"""The terminal as a chat: what stands on the screen, what is saved, and what a keyboard can do."""

import asyncio
import io
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chatelier import (
    BadInput,
    Call,
    ChatRef,
    Choice,
    Command,
    FileRef,
    Gone,
    Media,
    Option,
    Outgoing,
    Refused,
    Reply,
    Runtime,
    Settings,
)
from chatelier.core.chat.markup import document
from chatelier.core.gateway import KINDS, open_runtime
from chatelier.core.plugins import Plugins
from chatelier.platforms.terminal.adapter import Terminal, terminal
from chatelier.platforms.terminal.conversation import Open, attachment, check_folder, opened
from chatelier.platforms.terminal.interrupts import Interrupts
from chatelier.platforms.terminal.line import Completion, files_in
from chatelier.platforms.terminal.screen import Screen
from chatelier.platforms.terminal.turns import Turns
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.testing import FakeBackend, FakeStore, Parts, ScriptedGateway
from networks import on_line

STYLES = (Choice(value="ink"), Choice(value="oil on canvas"))


def seen_on(written: str) -> list[str]:
    """The lines of a terminal after all this was written to it."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[A-Z]|\x1b\]0;[^\a]*\a|[\s\S]", written):
        match piece:
            case "\r":
                column = 0
            case "\n":
                row, column = row + 1, 0
                if row == len(lines):
                    lines.append("")
            case "\x1b[A":
                row -= 1
            case "\x1b[J":
                lines[row:] = [lines[row][:column]]
            case _ if len(piece) == 1:
                lines[row] = lines[row][:column] + piece + lines[row][column + 1 :]
                column += 1
    return lines


class Keyboard(Screen):
    """A screen at which somebody types these lines, one after the other, and then leaves."""

    def __init__(self, *lines: str, redraws: bool = False) -> None:
        self.shown = io.StringIO()
        super().__init__(self.shown, redraws=redraws)
        self.lines = list(lines)
        self.prompts: list[str] = []
        self.progressed = asyncio.Event()

    def progress(self, text: str) -> None:
        super().progress(text)
        if "50 %" in text:
            self.progressed.set()

    async def ask(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        return self.lines.pop(0) if self.lines else None

    @property
    def text(self) -> str:
        return self.shown.getvalue()


async def _look(call: Call) -> None:
    blob = call.values["image"]
    await call.commit(None, Reply(text=f"{blob.mime} of {blob.width} x {blob.height}, {call.values['style']}"))


LOOK = Command(
    name="look",
    summary="Says what a picture is",
    handler=_look,
    options=(
        Option(name="image", type="image", required=True),
        Option(name="style", type="choice", choices=STYLES, default="ink"),
    ),
)


@dataclass
class Here:
    """A folder to save in, and what the terminals share."""

    folder: Path
    backend: FakeBackend = field(default_factory=FakeBackend)
    store: FakeStore | None = None

    @asynccontextmanager
    async def runtime(self) -> AsyncIterator[Runtime]:
        plugins = Plugins()
        plugins.add(Parts([], [self.backend], commands=[LOOK], store=self.store), "parts")
        plugins.add(Essentials, "essentials")
        settings = Settings.model_validate({"data_dir": self.folder / "data", "store": "memory:"})
        async with open_runtime(settings, plugins, alone=True) as runtime:
            yield runtime

    @asynccontextmanager
    async def talk(self, screen: Screen, name: str = "ada", *, interactive: bool = False) -> AsyncIterator[Open]:
        out = self.folder / "out"
        async with self.runtime() as runtime, opened(runtime, name, out, screen, interactive=interactive) as talk:
            yield talk

    async def chat(self, keyboard: Keyboard) -> list[str]:
        """A whole conversation; the lines that stand on the screen at its end."""
        with Interrupts() as interrupts:
            async with self.talk(keyboard, interactive=True) as talk:
                await Turns(talk, keyboard, interrupts).run()
        return seen_on(keyboard.text)

    @property
    def saved(self) -> list[Path]:
        return sorted((self.folder / "out").glob("*"))


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def picture(colour: str = "red") -> bytes:
    from PIL import Image  # noqa: PLC0415 - only two tests paint

    out = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(out, "PNG")
    return out.getvalue()


# --- one message


async def test_a_prompt_becomes_a_file_with_words_and_nothing_is_redrawn_in_a_pipe(here: Here) -> None:
    screen = Keyboard()
    async with here.talk(screen) as open_:
        _, event = await open_.talk.say("/make a red fox")
        outcome = await open_.outcome(event, asyncio.Event())
        printed = open_.talk.terminal.printed
    assert outcome.state == "done"
    (id_,) = outcome.ids
    assert "a red fox" in printed[id_].text
    assert here.saved == list(printed[id_].files)
    assert here.saved[0].read_bytes() == here.backend.pixels
    assert str(here.saved[0]) in screen.text
    assert "\x1b" not in screen.text


async def test_progress_is_one_line_that_goes_away(here: Here) -> None:
    here.backend.hold = True
    screen = Keyboard(redraws=True)
    async with here.talk(screen) as open_:
        _, event = await open_.talk.say("/make a red fox")
        await asyncio.wait_for(screen.progressed.wait(), 10)
        assert sum("50 %" in line for line in seen_on(screen.text)) == 1
        here.backend.finish()
        await open_.outcome(event, asyncio.Event())
    assert not any("50 %" in line for line in seen_on(screen.text))
    assert seen_on(screen.text)[-2] == str(here.saved[0])


async def test_an_interruption_cancels_the_job_in_words(here: Here) -> None:
    here.backend.hold = True
    screen, interrupted = Keyboard(), asyncio.Event()
    async with here.talk(screen) as open_:
        _, event = await open_.talk.say("/make a red fox")
        here.backend.after_submit = lambda _: interrupted.set()
        outcome = await open_.outcome(event, interrupted)
    assert outcome.state == "cancelled"
    assert "Cancelled. It cost nothing." in screen.text
    assert not here.saved


async def test_a_result_that_cannot_be_saved_is_kept(here: Here) -> None:
    out = here.folder / "out"
    async with here.talk(Keyboard()) as open_:
        out.write_text("in the way")
        _, event = await open_.talk.say("/make a red fox")
        outcome = await open_.outcome(event, asyncio.Event())
        assert outcome.state == "done"
        assert "cannot be written" in outcome.undelivered[0]
        out.unlink()
        _, event = await open_.talk.say(f"/show {outcome.job}")
        assert (await open_.outcome(event, asyncio.Event())).state == "done"
    assert here.saved[0].read_bytes() == here.backend.pixels


async def test_a_question_is_answered_by_the_next_command(here: Here) -> None:
    """Two commands of one name are one conversation, though each is a process of its own."""
    here.store = FakeStore(KINDS)
    for text, state in (("/make", "refused"), ("a red fox", "done")):
        async with here.talk(Keyboard()) as open_:
            _, event = await open_.talk.say(text)
            assert (await open_.outcome(event, asyncio.Event())).state == state
    assert len(here.saved) == 1


async def test_two_at_once_with_one_name_are_two_accounts(here: Here) -> None:
    async with here.runtime() as runtime:
        one = opened(runtime, "ada", here.folder, Keyboard(), interactive=False)
        async with one as first:
            assert first.talk.terminal.name == "terminal.ada"
            assert await runtime.attach(Terminal("terminal.ada", here.folder, Keyboard(), interactive=False)) is False
            other = Terminal("terminal.ada.2", here.folder, Keyboard(), interactive=False)
            assert await runtime.attach(other)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "a|b"])
async def test_a_name_that_cannot_be_one_is_refused_in_words(here: Here, name: str) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(BadInput, match="letters"):
            async with opened(runtime, name, here.folder, Keyboard(), interactive=False):
                pass


async def test_a_gateway_that_breaks_is_no_endless_wait(here: Here) -> None:
    here.backend.hold = True
    async with here.talk(Keyboard()) as open_:
        _, event = await open_.talk.say("/make a red fox")
        broken = Open(open_.runtime, open_.talk, asyncio.create_task(asyncio.sleep(0)))
        with pytest.raises(Refused, match="stopped"):
            await broken.outcome(event, asyncio.Event())
        await open_.cancel(event)


# --- files


@asynccontextmanager
async def account(
    folder: Path, *, redraws: bool = False
) -> AsyncIterator[tuple[Terminal, ScriptedGateway, io.StringIO]]:
    shown, gateway = io.StringIO(), ScriptedGateway()
    one = terminal("terminal.ada", folder, Screen(shown, redraws=redraws), interactive=True)
    async with on_line(one, gateway):
        yield one, gateway, shown


def message(one: Terminal, text: str = "", *media: Media, key: str = "a" * 22) -> Outgoing:
    return Outgoing(key=key, chat=one.chat, text=document(text) if text else None, media=media)


async def test_files_of_one_name_never_overwrite_each_other(tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_bytes(b"mine")
    async with account(tmp_path) as (one, gateway, _):
        for n in range(3):
            media = Media(blob=await gateway.blobs.keep(b"%d" % n), name="fox.png")
            await one.send(message(one, "", media, key=f"{n:022}"))
    assert (tmp_path / "fox.png").read_bytes() == b"mine"
    assert [(tmp_path / f"fox-{n}.png").read_bytes() for n in (2, 3, 4)] == [b"0", b"1", b"2"]
    assert len(os.listdir(tmp_path)) == 4


async def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    async with account(inside) as (one, gateway, _):
        blob = await gateway.blobs.keep(b"data")
        for n, name in enumerate(("../../up.png", "/etc/over.png", "..", "")):
            await one.send(message(one, "", Media(blob=blob, name=name), key=f"{n:022}"))
    assert os.listdir(tmp_path) == ["inside"]
    assert len(os.listdir(inside)) == 4


async def test_nothing_stays_of_a_file_that_could_not_be_read_whole(tmp_path: Path) -> None:
    async with account(tmp_path) as (one, gateway, _):
        blob = await gateway.blobs.keep(b"data")
        gateway.blobs.kept.clear()
        with pytest.raises(Gone):
            await one.send(message(one, "", Media(blob=blob, name="fox.png")))
    assert os.listdir(tmp_path) == []


async def test_a_file_that_went_before_it_was_read_is_gone(tmp_path: Path) -> None:
    async with account(tmp_path) as (one, _, _):
        with pytest.raises(Gone, match="cannot be read"):
            [piece async for piece in one.read(FileRef(platform=one.name, ref=str(tmp_path / "nothing")))]


def test_what_cannot_be_attached_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file"):
        attachment("terminal.ada", tmp_path / "nothing.png")
    with pytest.raises(BadInput, match="folder"):
        attachment("terminal.ada", tmp_path)


def test_a_folder_that_cannot_hold_files_is_said_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_folder(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    for wrong in ("file", "file/below"):
        with pytest.raises(BadInput, match="--out"):
            check_folder(tmp_path / wrong)


# --- the screen


@pytest.mark.parametrize("redraws", [True, False])
async def test_nobodys_words_steer_the_terminal(tmp_path: Path, redraws: bool) -> None:
    async with account(tmp_path, redraws=redraws) as (one, _, shown):
        await one.send(message(one, "before \x1b]0;owned\x07\x1b[2J\x9b1mafter \u202eright to left"))
    assert "owned" in shown.getvalue()
    assert not re.search("[\x07\x9b\u202e]|\x1b(?!\\[J|\\[A)", shown.getvalue())


async def test_what_stands_above_the_last_message_is_not_redrawn(tmp_path: Path) -> None:
    async with account(tmp_path, redraws=True) as (one, _, shown):
        receipt = await one.send(message(one, "first"))
        await one.send(message(one, "second", key="b" * 22))
        with pytest.raises(Refused):
            await one.edit(receipt, message(one, "changed", key="c" * 22))
        assert "changed" not in shown.getvalue()


def test_a_message_that_arrives_while_typing_stands_above_the_line() -> None:
    shown = io.StringIO()
    screen = Screen(shown, redraws=True)
    screen.typed = lambda: "/make a ha"
    with screen._typing("> "):
        shown.write("> /make a ha")  # readline's own echo
        screen.print("a result")
        screen.progress("half\ndone")
        screen.progress("all\ndone")
        assert seen_on(shown.getvalue()) == ["a result", "all · done", "> /make a ha"]
        screen.print("another\nresult")
        assert seen_on(shown.getvalue()) == ["a result", "another", "result", "all · done", "> /make a ha"]


def test_a_long_line_being_typed_is_cleared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = io.StringIO()
    screen = Screen(shown, redraws=True)
    screen.typed = lambda: "x" * 100
    with screen._typing("> "):
        screen.print("a result")
        written = shown.getvalue()
        screen.print("more")
    assert shown.getvalue()[len(written) :].startswith("\x1b[A" * 2)


def test_progress_is_cut_to_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = io.StringIO()
    Screen(shown, redraws=True).progress("狐" * 100)
    assert seen_on(shown.getvalue()) == ["狐" * 19]


async def test_a_silent_screen_shows_nothing() -> None:
    screen = Screen(None)
    screen.print("text")
    screen.progress("text")
    screen.title("text")


# --- a conversation


async def test_numbers_press_the_buttons_of_the_last_list(here: Here) -> None:
    lines = await here.chat(Keyboard("/make a red fox", "1"))
    assert "1. 🔁 Again" in lines
    assert len(here.saved) == 2
    seeds = {run.attempt.graph["1"]["inputs"]["seed"] for run in here.backend.runs.values()}
    assert len(seeds) == 2


async def test_numbers_work_in_the_next_conversation(here: Here) -> None:
    here.store = FakeStore(KINDS)
    await here.chat(Keyboard("/make a red fox"))
    await here.chat(Keyboard("1"))
    assert len(here.backend.runs) == 2


async def test_a_form_is_a_row_of_questions(here: Here) -> None:
    keyboard = Keyboard("/make", "a red fox", "7")
    lines = await here.chat(keyboard)
    assert [prompt.strip().lower() for prompt in keyboard.prompts[1:3]] == ["prompt:", "seed (now -1):"]
    assert any("a red fox" in line for line in lines)
    (run,) = here.backend.runs.values()
    assert run.attempt.graph["1"]["inputs"]["seed"] == 7


async def test_a_file_that_is_not_there_is_asked_for_again(here: Here) -> None:
    path = here.folder / "fox.png"
    path.write_bytes(picture())
    lines = await here.chat(Keyboard("/look", str(here.folder / "nothing.png"), str(path), "oil on canvas"))
    assert f"There is no file {here.folder / 'nothing.png'}." in lines
    assert "image/png of 30 x 20, oil on canvas" in lines


async def test_an_at_sign_sends_a_file(here: Here) -> None:
    path = here.folder / "a fox.png"
    path.write_bytes(picture())
    lines = await here.chat(Keyboard(f'/look @"{path}" --style "oil on canvas"'))
    assert "image/png of 30 x 20, oil on canvas" in lines


def test_an_at_sign_that_names_no_file_stays(tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_bytes(b"x")
    assert files_in("/make art by @somebody and me@example.com", "t") == (
        "/make art by @somebody and me@example.com",
        [],
    )
    text, files = files_in(f"/effect @{tmp_path}/fox.png more ink", "t")
    assert (text, [file.name for file in files]) == ("/effect  more ink", ["fox.png"])


async def test_a_refusal_goes_on_with_the_conversation(here: Here) -> None:
    lines = await here.chat(Keyboard("/nope", "", "   ", "/status"))
    assert any("no command /nope" in line for line in lines)
    assert "Nothing of yours is waiting or running." in lines


async def test_leaving_a_form_leaves_the_conversation(here: Here) -> None:
    await here.chat(Keyboard("/make"))
    assert not here.backend.runs


# --- completion


@pytest.fixture
def completion() -> Completion:
    return Completion(ScriptedGateway(), ChatRef(platform="terminal.ada", chat="ada"), "terminal:ada")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/ma", ["/make "]),
        ("/", ["/effect ", "/help ", "/make ", "/status "]),
        ("a fox", []),
        ("", []),
        ("/make --st", ["--style "]),
        ("/make a fox --", ["--prompt ", "--width ", "--height ", "--style ", "--tile ", "--seed "]),
        ("/make --style o", ['"oil on canvas" ']),
        ("/make --style ", ["ink", "oil on canvas"]),
        ("/make a fo", []),
        ("/nope --", []),
    ],
)
async def test_completion_offers_what_could_be_meant(completion: Completion, line: str, expected: list[str]) -> None:
    assert await completion.candidates(line) == expected


async def test_completion_of_files(completion: Completion, tmp_path: Path) -> None:
    for name in ("fox.png", "fog.png", "cat.png"):
        (tmp_path / name).write_bytes(b"")
    assert await completion.candidates(f"/look @{tmp_path}/fo") == [f"@{tmp_path}/fog.png", f"@{tmp_path}/fox.png"]


async def test_readline_asks_from_its_own_thread(completion: Completion) -> None:
    complete: Callable[[str, int], str | None] = completion.completer(lambda: "/ma")
    assert await asyncio.to_thread(complete, "/ma", 0) == "/make "
    assert await asyncio.to_thread(complete, "/ma", 1) is None
