"""What people type is fit to be stored and shown before anything is done with it."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from chatelier import JOBS, Called, ChatRef, Event, FileRef, Pressed, Said, Submitted, Value
from chatelier.core.chat.incoming import cleaned
from chatelier.core.chat.messages import Body
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.testing import FakeBackend, FakePlatform, Parts, running

FILE = FileRef(platform="fake", ref="1")


def event(body: Body, name: str = "Ada") -> Event:
    chat = ChatRef(platform="fake", chat="1", direct=True)
    return Event(keys=("1",), chat=chat, sender="fake:1", name=name, body=body)


def test_words_options_and_forms_are_cleaned_and_the_rest_is_left_alone() -> None:
    odd, clean = "a\x00\ud800\r\nb", "a\ufffd\nb"
    assert cleaned(event(Said(text=odd, files=(FILE,)), odd)) == event(Said(text=clean, files=(FILE,)), clean)
    values: dict[str, Value] = {"prompt": odd, "width": 3, "image": FILE}
    called = cleaned(event(Called(command="make", options=values))).body
    assert called == Called(command="make", options={"prompt": clean, "width": 3, "image": FILE})
    submitted = cleaned(event(Submitted(form="f", values=values))).body
    assert submitted == Submitted(form="f", values={"prompt": clean, "width": 3, "image": FILE})
    assert cleaned(event(Pressed(payload="a.x"))) == event(Pressed(payload="a.x"))


@given(st.text(st.characters()))
def test_any_text_can_be_stored_and_cleaning_it_again_changes_nothing(text: str) -> None:
    once = cleaned(event(Said(text=text), text))
    assert isinstance(once.body, Said)
    assert (once.body.text + once.name).encode().decode() == once.body.text * 2
    assert cleaned(once) == once


async def test_a_prompt_that_no_utf_8_can_hold_becomes_a_picture(tmp_path: Path) -> None:
    network = FakePlatform()
    async with running(tmp_path, Parts([network], [FakeBackend()]), Essentials) as runtime:
        await network.receive(network.event(Said(text="/make a \udcff fox\x00")))
        await network.until(lambda: network.shown and network.last.message.media)
        (job,) = await runtime.store.find(JOBS, {}, order="created")
    assert job.values["prompt"] == "a \ufffd fox"
