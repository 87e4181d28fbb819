"""The terminal as a chat: what stands on the screen, what is saved, and what a keyboard can do."""

import asyncio
import io
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageOps

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
    Outcome,
    Outgoing,
    Refused,
    Reply,
    Runtime,
    Settings,
    Unavailable,
)
from chatelier.core.chat.markup import document
from chatelier.core.gateway import open_runtime
from chatelier.core.plugins import Plugins
from chatelier.core.registered import KINDS
from chatelier.platforms.terminal.adapter import Terminal, terminal
from chatelier.platforms.terminal.conversation import Open, afterwords, attachment, check_folder, opened
from chatelier.platforms.terminal.interrupts import Interrupts
from chatelier.platforms.terminal.line import Completion, files_in
from chatelier.platforms.terminal.screen import Screen
from chatelier.platforms.terminal.turns import Turns
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.testing import FakeBackend, FakeStore, Parts, ScriptedGateway
from files import decoded
from gateways import CHATELIER, configured, finished, on_server, say_process, sketch_process
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


class Waiting(Keyboard):
    """One at which nobody leaves before these words stand there. then: called at that moment."""

    def __init__(self, words: str, *lines: str, then: Callable[[], None] = lambda: None) -> None:
        super().__init__(*lines, redraws=True)
        self.words = words
        self.then = then
        self.stand = asyncio.Event()

    def print(self, text: str) -> None:
        super().print(text)
        if self.words in text and not self.stand.is_set():
            self.stand.set()
            self.then()

    async def ask(self, prompt: str) -> str | None:
        if not self.lines:
            await asyncio.wait_for(self.stand.wait(), 30)
        return await super().ask(prompt)


async def _look(call: Call) -> None:
    blob = call.values["image"]
    await call.commit(
        None, Reply(text=f"{blob.mime} of {blob.width} x {blob.height}, {call.values.get('style', 'ink')}")
    )


LOOK = Command(
    name="look",
    summary="Says what a picture is",
    handler=_look,
    options=(
        Option(name="image", type="image", required=True),
        Option(name="style", type="choice", choices=STYLES, default="ink"),
    ),
)


async def _sign(call: Call) -> None:
    motto = call.values.get("motto", "ever onward")
    await call.commit(None, Reply(text=f"{call.values['name']}, {motto or 'no motto'}"))


SIGN = Command(
    name="sign",
    summary="Says who somebody is",
    handler=_sign,
    options=(
        Option(name="name", required=True),
        Option(name="motto", default="ever onward"),
        Option(name="loud", type="boolean", default=True),
        Option(name="size", type="integer", default=64, minimum=64, maximum=512),
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
        plugins.add(Parts([], [self.backend], commands=[LOOK, SIGN], store=self.store), "parts")
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


async def test_the_numbers_stand_once_at_the_end_where_nobody_can_answer_now(here: Here) -> None:
    here.backend.hold = True
    screen = Keyboard(redraws=True)
    async with here.talk(screen) as open_:
        _, event = await open_.talk.say("/make a red fox")
        await asyncio.wait_for(screen.progressed.wait(), 30)
        here.backend.finish()
        await open_.outcome(event, asyncio.Event())
        assert "Again" not in screen.text
    assert "Cancel" not in screen.text
    lines = [line for line in seen_on(screen.text) if line]
    assert lines.index("1. 🔁 Again") > lines.index(str(here.saved[0]))
    assert lines[-1] == "Reply with a number."


async def test_a_number_is_the_next_commands_answer(here: Here) -> None:
    """Each command is a process of its own, and what it prints for programs is one object."""
    config = configured(here.folder)
    out = str(here.folder / "out")

    async def say(text: str, name: str) -> tuple[int, Mapping[str, Any]]:
        code, told, _ = await finished(await say_process(config, text, "--as", name, "--out", out))
        return code, told

    code, first = await say("/make a red fox --width 64 --height 64 --steps 1", "ada")
    assert (code, first["state"]) == (0, "done")
    assert "1. 🔁 Again" in first["text"]
    code, again = await say("1", "ada")
    assert (code, again["state"]) == (0, "done")
    assert again["job"] not in ("", first["job"])
    assert len(here.saved) == 2
    code, info = await say("6", "ada")
    assert again["job"] in info["text"]
    _, other = await say("1", "bob")
    assert other["job"] == ""
    assert len(here.saved) == 2


async def test_the_last_result_is_the_next_commands_picture(here: Here) -> None:
    """Each command is a process of its own."""
    config = configured(here.folder)
    for text in ("/make a red fox --width 64 --height 64 --steps 1", "^ /mirror"):
        more = ("--as", "ada", "--out", str(here.folder / "out"))
        code, told, _ = await finished(await say_process(config, text, *more))
        assert (code, told["state"]) == (0, "done")
    made, both = (decoded(path.read_bytes()).convert("RGB") for path in here.saved)
    beside = both.crop((made.width, 0, *both.size))
    assert ImageChops.difference(ImageOps.mirror(made), beside).getbbox() is None


@contextmanager
def interrupted_without_server(folder: Path) -> Iterator[Popen[str]]:
    """A `say` whose server died in mid-job, and which was then told once to end."""
    with sketch_process(folder / "server", "--seconds", "30") as server:
        config = configured(folder, backends=on_server(server.url))
        arguments = ("/make a red fox --width 64 --height 64", "--config", str(config), "--as", "ada")
        said = Popen([*CHATELIER, "say", *arguments], stdout=PIPE, stderr=PIPE, text=True)  # noqa: S603 - our own program
        try:
            assert said.stdout is not None
            assert any("%" in line for line in said.stdout)
            server.kill()
            said.send_signal(signal.SIGTERM)
            assert any("Cancelling" in line for line in said.stdout)
            yield said
        finally:
            said.kill()
            said.communicate()


@pytest.mark.slow
def test_a_server_that_died_holds_up_an_ending_for_a_while_only(tmp_path: Path) -> None:
    with interrupted_without_server(tmp_path) as said:
        out, err = said.communicate(timeout=55)
    assert said.returncode == 1
    assert "Cancelled. It cost nothing." in out
    assert out.splitlines()[-1].endswith(": cancelled")
    assert "Traceback" not in err


def test_a_second_signal_waits_for_no_server(tmp_path: Path) -> None:
    with interrupted_without_server(tmp_path) as said:
        said.send_signal(signal.SIGTERM)
        assert said.wait(5) == 128 + signal.SIGTERM


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
    assert str(here.saved[0]) in seen_on(screen.text)


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


async def test_what_goes_on_after_an_interruption_is_waited_for_no_longer_than_that(here: Here) -> None:
    here.backend.hold, here.backend.cancellable = True, False
    screen, interrupted = Keyboard(), asyncio.Event()
    async with here.talk(screen) as open_:
        impatient = replace(open_, ending=0.5)
        _, event = await impatient.talk.say("/make a red fox")
        here.backend.after_submit = lambda _: interrupted.set()
        outcome = await impatient.outcome(event, interrupted)
        here.backend.finish()
    assert outcome.state == "open"
    (sentence,) = afterwords(outcome)
    assert f"Job {outcome.job} has not ended" in sentence
    assert "once more ends this at once" in screen.text


def test_what_was_not_even_handled_is_told_so() -> None:
    (sentence,) = afterwords(Outcome("open"))
    assert "not answered yet" in sentence


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


def test_a_silent_screen_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(None)
    screen.print("text")
    screen.progress("text")
    screen.title("text")
    assert capsys.readouterr() == ("", "")


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


async def test_the_number_of_tweak_opens_its_form_and_the_number_of_hide_hides(here: Here) -> None:
    keyboard = Keyboard("/make a red fox", "3", "a blue fox", "7", "6")
    lines = await here.chat(keyboard)
    assert keyboard.prompts[2].strip().lower() == "prompt (now a red fox):"
    assert [run.attempt.graph["1"]["inputs"]["seed"] for run in here.backend.runs.values()][1:] == [7]
    assert any("a blue fox" in line for line in lines)
    assert "Hidden." in lines


async def test_a_caret_takes_the_picture_of_the_last_result(here: Here) -> None:
    here.store = FakeStore(KINDS)
    lines = await here.chat(Keyboard("^ /look", "/make a red fox", "/status", "^ /look", "  ^/look --style 'ink"))
    assert sum("no result here" in line for line in lines) == 1
    assert sum(line.endswith(", ink") for line in lines) == 1
    assert any("style must be" in line for line in lines)
    lines = await here.chat(Keyboard("^ /look", "^_^ how nice"))
    assert sum(line.endswith(", ink") for line in lines) == 1
    assert any("Commands begin with a slash" in line for line in lines)


async def test_a_caret_never_means_what_was_hidden(here: Here) -> None:
    lines = await here.chat(Keyboard("/make a red fox", "6", "^ /look"))
    assert any("no result here" in line for line in lines)


async def test_a_result_that_could_not_be_shown_is_told_while_somebody_types(here: Here) -> None:
    (here.folder / "out").write_text("in the way")
    keyboard = Waiting("is kept", "/make a red fox")
    await here.chat(keyboard)
    assert "cannot be written" in keyboard.text
    assert re.search(r"The result is kept: /show \w+ brings it again", keyboard.text)


async def test_waiting_that_fails_is_told_and_the_conversation_goes_on(here: Here) -> None:
    here.store = store = FakeStore(KINDS)
    here.backend.hold = True

    def troubled(trouble: Exception | None) -> None:
        store.trouble = trouble

    here.backend.after_submit = lambda _: troubled(Unavailable("the disk is away"))
    keyboard = Waiting("the disk is away", "/make a red fox", then=lambda: troubled(None))
    await here.chat(keyboard)
    assert not keyboard.lines


async def test_a_form_is_a_row_of_questions(here: Here) -> None:
    keyboard = Keyboard("/make", "a red fox", "7")
    lines = await here.chat(keyboard)
    assert [prompt.strip().lower() for prompt in keyboard.prompts[1:3]] == ["prompt:", "seed (now -1):"]
    assert any("a red fox" in line for line in lines)
    (run,) = here.backend.runs.values()
    assert run.attempt.graph["1"]["inputs"]["seed"] == 7


async def test_a_wrong_answer_is_told_and_asked_for_again(here: Here) -> None:
    keyboard = Keyboard("/sign", "Fox", "", "perhaps", "no", "32", "abc", "-", "128")
    lines = await here.chat(keyboard)
    asked = [prompt.strip() for prompt in keyboard.prompts if prompt != "> "]
    assert asked == [
        "name:",
        "motto (now ever onward):",
        *["loud (now yes):"] * 2,
        *["size (now 64):"] * 4,
    ]
    assert "loud must be yes or no, not “perhaps”." in lines
    assert [f"size must be a whole number from 64 to 512, not “{wrong}”." in lines for wrong in ("32", "abc", "-")] == [
        True
    ] * 3
    assert "Fox, ever onward" in lines


async def test_a_dash_takes_a_text_away_that_need_not_be_there(here: Here) -> None:
    lines = await here.chat(Keyboard("/sign", "-", "Fox", "-", "", ""))
    assert any("name must be there" in line for line in lines)
    assert any("- takes a text away" in line for line in lines)
    assert "Fox, no motto" in lines


async def test_a_long_text_that_stands_there_is_shortened_to_one_line(here: Here) -> None:
    keyboard = Keyboard("/make a red fox\n\x1b[2J" + "and more " * 50, "3")
    await here.chat(keyboard)
    (prompt,) = [each for each in keyboard.prompts if "now a red fox" in each]
    assert "\x1b" not in prompt
    assert "\n" not in prompt
    assert len(prompt) < 100


async def test_a_link_answers_a_question_for_a_file(here: Here) -> None:
    lines = await here.chat(Keyboard("/look", "ftp://example.com/fox.png", "http://127.0.0.1:9/fox.png", ""))
    assert any("begins with https://" in line for line in lines)
    assert any("do not fetch from that port" in line for line in lines)


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
        ("^ /ma", ["/make "]),
        ("^ /make --st", ["--style "]),
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
