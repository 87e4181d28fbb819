"""What every chat platform must do. A third party parametrises `PLATFORM_CHECKS` with a person's side of its own network:

@pytest.mark.parametrize("check", PLATFORM_CHECKS, ids=lambda check: check.__name__)
async def test_platform(check):
    await check(a_person_on_my_network)

What a platform does not declare is not asked of it, and what it declares is proved.
"""

import asyncio
import io
import os
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from ..chat.capabilities import Capabilities
from ..chat.document import Document, Paragraph, Text
from ..chat.fit import fit
from ..chat.messages import (
    Ask,
    Button,
    Called,
    ChatRef,
    Event,
    FirstAnswer,
    Form,
    Media,
    Option,
    Outgoing,
    Pressed,
    Receipt,
    Reply,
    Said,
    Submitted,
)
from ..chat.platform import Deletes, Edits, Finds, Platform, Signals
from ..keys import token
from ..registered import undeclared
from .scripted import ScriptedGateway

STARTS = 20
WARM_UP = 3
"""Starts before anything is counted: what is imported, resolved or pooled once is no leak."""
LONGEST = 100_000
"""Characters that stand for "unlimited"."""
PAYLOAD = 64
"""Bytes of the longest payload that the core ever puts on a button."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """A message of the account as the person sees it now.

    id: the network's own, as in `Receipt.ids`. text: without markup. media: bytes of each file shown. buttons: their labels.
    """

    id: str
    text: str = ""
    media: tuple[bytes, ...] = ()
    buttons: tuple[str, ...] = ()


class Network(Protocol):
    """A person in one conversation with the account. What the platform does not declare may raise NotImplementedError."""

    @property
    def platform(self) -> Platform: ...

    async def say(self, text: str) -> None:
        """Returns when the network took it; the event may still be on its way."""
        ...

    async def repeat(self) -> None:
        """The network delivers the last message again. Nothing, where it never does."""
        ...

    async def visible(self) -> Sequence[Visible]:
        """What the account said, the oldest first."""
        ...

    async def press(self, message_id: str, label: str) -> None:
        """The first button of this message with this label."""
        ...

    async def submit(self, values: Mapping[str, str]) -> None:
        """Fill in the form that is shown, waiting for it first."""
        ...

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        """A command with typed options."""
        ...

    async def attach(self, data: bytes, name: str) -> None:
        """A message that is one file."""
        ...

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        """What the network proposes; `option` "" for the command's name."""
        ...


MakeNetwork = Callable[[ScriptedGateway], AbstractAsyncContextManager[Network]]
"""Runs a new account on this gateway until its end, and gives a person on it, as soon as the account is on line."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A person, the account, and the chat that they are in."""

    network: Network
    gateway: ScriptedGateway
    hello: Event

    @property
    def chat(self) -> ChatRef:
        return self.hello.chat

    @property
    def can(self) -> Capabilities:
        return self.network.platform.capabilities(self.chat)

    async def show(self, reply: Reply) -> list[Receipt]:
        """Fitted and sent, as the core does."""
        native = self.hello.native
        parts = fit(reply, token(), self.chat, self.can, native=native, private_to=self.hello.sender)
        return [await self.network.platform.send(part) for part in parts]

    async def send(self, text: Document, *media: Media) -> Receipt:
        return await self.network.platform.send(self.message(text, *media))

    def message(self, text: Document, *media: Media) -> Outgoing:
        return Outgoing(key=token(), chat=self.chat, text=text, media=media, native=self.hello.native)

    async def picture(self, colour: str, *, as_file: bool = False) -> Media:
        out = io.BytesIO()
        Image.new("RGB", (48, 32), colour).save(out, "PNG")
        blob = await self.gateway.blobs.keep(out.getvalue())
        inline = blob.mime in self.can.inline_types
        return Media(blob=blob, name=f"{colour}.png", alt=colour, document=as_file or not inline)

    async def seen(self, receipt: Receipt) -> Visible:
        """The one native message of a receipt."""
        (id_,) = receipt.ids
        return next(each for each in await self.network.visible() if each.id == id_)


@asynccontextmanager
async def met(make: MakeNetwork) -> AsyncIterator[Meeting]:
    gateway = ScriptedGateway()
    async with make(gateway) as network:
        await network.say("hello")
        yield Meeting(network, gateway, await gateway.next_event())


def ids_of(receipts: Sequence[Receipt]) -> list[str]:
    return [id_ for receipt in receipts for id_ in receipt.ids]


def plain(text: str) -> Document:
    return Document((Paragraph((Text(text),)),))


def squeezed(text: str) -> str:
    """Without the blanks and breaks that a network may set as it likes."""
    return re.sub(r"\s", "", text)


# --- 1


async def ids_come_back_as_they_are_seen(make: MakeNetwork) -> None:
    """Keys and chat of events are stable and unique; a receipt's ids are those of the visible messages, in order."""
    async with met(make) as meeting:
        await meeting.network.say("hello again")
        second = await meeting.gateway.next_event()
        for event in (meeting.hello, second):
            assert event.keys
            assert all(event.keys), "an empty key would make every event a repeat"
            assert isinstance(event.body, Said)
        assert not set(meeting.hello.keys) & set(second.keys), "two messages, two sets of keys"
        assert (second.chat, second.sender) == (meeting.hello.chat, meeting.hello.sender)
        assert second.chat.platform == meeting.network.platform.name
        assert re.fullmatch(r"[a-z][a-z0-9_]*[:/]\S+", second.sender), 'a handle is "network:id"'
        receipts = [*await meeting.show(Reply(text="one")), *await meeting.show(Reply(text="two"))]
        receipts += await meeting.show(Reply(text="three"))
        ids = ids_of(receipts)
        shown = await meeting.network.visible()
        assert ids == [each.id for each in shown]
        assert len(set(ids)) == len(ids)
        assert [each.text.strip() for each in shown] == ["one", "two", "three"]
        assert all(receipt.chat.chat == meeting.chat.chat for receipt in receipts)


# --- 2


async def what_the_network_repeats_is_handled_once(make: MakeNetwork) -> None:
    """A repeat has a key of the first delivery, and the next message has not."""
    async with met(make) as meeting:
        await meeting.network.repeat()
        await meeting.network.say("and now")
        following = await meeting.gateway.next_event()
        assert isinstance(following.body, Said)
        assert following.body.text == "and now", "the repeat came as a new event"
        await meeting.network.repeat()
        await meeting.network.repeat()
        await meeting.network.say("the end")
        await meeting.gateway.next_event()
        assert len(meeting.gateway.events) == 3


# --- 3


async def all_that_is_visible_has_a_receipt(make: MakeNetwork) -> None:
    """Text, a picture, an album of two, buttons: nothing is shown that could not be found again."""
    async with met(make) as meeting:
        red, blue = await meeting.picture("red"), await meeting.picture("blue")
        button = Button(label="Again", payload="j.job.again")
        replies = (
            Reply(text="only words"),
            Reply(text="one picture", media=(red,)),
            Reply(text="two pictures", media=(red, blue)),
            Reply(text="with a button", buttons=((button,),)),
            Reply(text="both", media=(blue,), buttons=((button,),)),
        )
        ids: list[str] = []
        for reply in replies:
            before = await meeting.network.visible()
            ids += ids_of(await meeting.show(reply))
            shown = await meeting.network.visible()
            new = shown[len(before) :]
            assert [each.id for each in shown] == ids
            assert squeezed(reply.text) in squeezed(" ".join(each.text for each in new))
            files = [data for each in new for data in each.media]
            assert len(files) == len(reply.media), f"{len(reply.media)} files were sent, {len(files)} are seen"
            if reply.buttons:
                labels = " ".join(" ".join((each.text, *each.buttons)) for each in new)
                assert button.label in labels


# --- 4


async def what_is_declared_is_proved(make: MakeNetwork) -> None:
    """Each declared capability works, at its limits; what the class can do and what it declares are the same."""
    async with met(make) as meeting:
        assert not undeclared(meeting.network.platform), undeclared(meeting.network.platform)
        can = meeting.can
        await proved_lengths(meeting)
        await proved_buttons(meeting)
        for declared, prove in (
            (can.edit_text, proved_text_edits),
            (can.edit_media, proved_media_edits),
            (can.edit_media and not can.text_stays_text, proved_text_into_media),
            (can.delete, proved_deletes),
            (can.finds, proved_finds),
            (can.album > 1, proved_album),
            (can.private, proved_private),
            (can.busy or can.reactions, proved_signs),
            (can.forms, proved_forms),
            (can.typed_options, proved_typed_options),
            (can.attachments, proved_attachments),
            (can.completion, proved_completion),
        ):
            if declared:
                await prove(meeting)


async def proved_lengths(meeting: Meeting) -> None:
    """A text, and a caption, of exactly the limit arrive whole."""
    can = meeting.can
    length = can.text or LONGEST
    seen = await meeting.seen(await meeting.send(exactly(length, can)))
    assert squeezed(seen.text) == "x" * length
    if can.captions:
        length = can.caption or length
        seen = await meeting.seen(await meeting.send(exactly(length, can), await meeting.picture("green")))
        assert squeezed(seen.text) == "x" * length
        assert seen.media


def exactly(length: int, can: Capabilities) -> Document:
    """Words that are so long, as the network counts."""
    text = plain("x" * length)
    assert can.dialect.length(text) == length
    return text


async def proved_buttons(meeting: Meeting) -> None:
    """As many as are declared, with labels and payloads as long as declared; each brings back its payload."""
    rules = meeting.can.buttons
    if not rules.per_row:
        await proved_numbers(meeting)
        return
    buttons = [
        Button(
            label=f"{n} ".ljust(min(rules.label, 200), "x"),
            payload=f"a.{n}.".ljust(min(rules.payload, PAYLOAD), "x"),
        )
        for n in range(rules.total)
    ]
    rows = tuple(tuple(buttons[start : start + rules.per_row]) for start in range(0, rules.total, rules.per_row))
    (receipt,) = await meeting.show(Reply(text="choose", buttons=rows))
    seen = await meeting.seen(receipt)
    assert list(seen.buttons) == [button.label for button in buttons]
    for button in (buttons[0], buttons[-1]):
        await meeting.network.press(seen.id, button.label)
        event = await meeting.gateway.next_event()
        assert event.body == Pressed(payload=button.payload, message_id=seen.id)
        assert event.sender == meeting.hello.sender


async def proved_numbers(meeting: Meeting) -> None:
    """Buttons that became a list are read as one, and the number that is said arrives as it was said."""
    buttons = (Button(label="Again", payload="j.job.again"), Button(label="Hide", payload="j.job.hide"))
    receipts = await meeting.show(Reply(text="choose", buttons=(buttons,)))
    text = (await meeting.seen(receipts[-1])).text
    assert text.index("1") < text.index("Again") < text.index("2") < text.index("Hide")
    await meeting.network.say("2")
    event = await meeting.gateway.next_event()
    assert isinstance(event.body, Said)
    assert event.body.text == "2"


async def proved_text_edits(meeting: Meeting) -> None:
    """The same message says something else, and once more the same is no error."""
    platform = meeting.network.platform
    assert isinstance(platform, Edits)
    receipt = await meeting.send(plain("before"))
    assert receipt.editable
    after = meeting.message(plain("after"))
    for _ in range(2):
        receipt = await platform.edit(receipt, after)
        seen = await meeting.seen(receipt)
        assert (seen.id, seen.text.strip()) == (receipt.ids[0], "after")


async def proved_media_edits(meeting: Meeting) -> None:
    platform = meeting.network.platform
    assert isinstance(platform, Edits)
    receipt = await meeting.send(plain("before"), await meeting.picture("red"))
    before = await meeting.seen(receipt)
    receipt = await platform.edit(receipt, meeting.message(plain("after"), await meeting.picture("blue")))
    after = await meeting.seen(receipt)
    assert after.text.strip() == "after"
    assert len(after.media) == 1
    assert after.media != before.media


async def proved_text_into_media(meeting: Meeting) -> None:
    """Where it is not said that a text stays one, it becomes a picture."""
    platform = meeting.network.platform
    assert isinstance(platform, Edits)
    receipt = await meeting.send(plain("before"))
    receipt = await platform.edit(receipt, meeting.message(plain("after"), await meeting.picture("blue")))
    assert len((await meeting.seen(receipt)).media) == 1


async def proved_deletes(meeting: Meeting) -> None:
    """It is gone, its neighbours stay, and once more is no error."""
    platform = meeting.network.platform
    assert isinstance(platform, Deletes)
    receipt, neighbour = await meeting.send(plain("in a moment gone")), await meeting.send(plain("stays"))
    assert receipt.deletable
    for _ in range(2):
        await platform.delete(receipt)
        ids = [each.id for each in await meeting.network.visible()]
        assert receipt.ids[0] not in ids
        assert neighbour.ids[0] in ids


async def proved_finds(meeting: Meeting) -> None:
    """What was sent is found by its key with the same ids; what was not is never claimed to be there."""
    platform = meeting.network.platform
    assert isinstance(platform, Finds)
    sent = meeting.message(plain("look for me"))
    receipt = await platform.send(sent)
    found = await platform.find(sent)
    assert found == "unknown" or (isinstance(found, Receipt) and found.ids == receipt.ids)
    assert await platform.find(replace(sent, key=token())) in ("absent", "unknown")


async def proved_album(meeting: Meeting) -> None:
    """As many pictures as declared, ten at most here, in one send and in order."""
    count = min(meeting.can.album, 10)
    pictures = [await meeting.picture(f"#0000{n + 10:02x}", as_file=True) for n in range(count)]
    receipt = await meeting.send(plain("an album"), *pictures)
    ids = set(receipt.ids)
    files = [data for each in await meeting.network.visible() if each.id in ids for data in each.media]
    assert files == [meeting.gateway.blobs.kept[picture.blob.sha256] for picture in pictures]


async def proved_private(meeting: Meeting) -> None:
    """Who it is for sees it."""
    message = replace(meeting.message(plain("for you alone")), private_to=meeting.hello.sender)
    receipt = await meeting.network.platform.send(message)
    assert (await meeting.seen(receipt)).text.strip() == "for you alone"


async def proved_signs(meeting: Meeting) -> None:
    platform = meeting.network.platform
    assert isinstance(platform, Signals)
    if meeting.can.busy:
        await platform.signal(meeting.chat, "busy")
    if meeting.can.reactions:
        for what in ("seen", "done"):
            await platform.signal(meeting.chat, what, meeting.hello.keys[-1])


FORM = Form(
    key="a.form",
    title="A picture",
    fields=(Option(name="prompt", required=True), Option(name="width", type="integer", default=512)),
    values={"width": 640},
)


async def proved_forms(meeting: Meeting) -> None:
    """A form that is the first answer is shown, and comes back with what was filled in."""

    async def ask(event: Event) -> FirstAnswer:
        return Ask(form=FORM) if isinstance(event.body, Said) else None

    meeting.gateway.answer = ask
    await meeting.network.say("/make")
    await meeting.gateway.next_event()
    await meeting.network.submit({"prompt": "a red fox", "width": "768"})
    event = await meeting.gateway.next_event()
    meeting.gateway.answer = None
    assert isinstance(event.body, Submitted)
    assert event.body.form == FORM.key
    assert {name: str(value) for name, value in event.body.values.items()} == {"prompt": "a red fox", "width": "768"}


async def proved_typed_options(meeting: Meeting) -> None:
    await meeting.network.call("make", {"prompt": 'a "red" fox --width 5', "width": "768"})
    event = await meeting.gateway.next_event()
    assert isinstance(event.body, Called)
    assert event.body.command == "make"
    given = {name: str(value) for name, value in event.body.options.items()}
    assert given == {"prompt": 'a "red" fox --width 5', "width": "768"}


async def proved_attachments(meeting: Meeting) -> None:
    """The bytes of a file can be read, more than once, and are those that were sent."""
    purple = await meeting.picture("purple")
    data = meeting.gateway.blobs.kept[purple.blob.sha256]
    await meeting.network.attach(data, "a file.png")
    event = await meeting.gateway.next_event()
    assert isinstance(event.body, Said)
    (file,) = event.body.files
    assert file.platform == meeting.network.platform.name
    for _ in range(2):
        assert b"".join([piece async for piece in meeting.network.platform.read(file)]) == data


async def proved_completion(meeting: Meeting) -> None:
    assert [name.strip("/ ") for name in await meeting.network.complete("", "", "ma")] == ["make"]
    assert list(await meeting.network.complete("make", "style", "oil")) == ["oil on canvas"]


# --- 5


async def starts_and_stops_leave_nothing_behind(make: MakeNetwork) -> None:
    """Twenty lives of an account: no task, thread or open file more than before."""
    counts = []
    for _ in range(WARM_UP + STARTS):
        async with met(make) as meeting:
            await meeting.show(Reply(text="hello", media=(await meeting.picture("red"),)))
        counts.append(leftovers())
    before, after = counts[WARM_UP - 1], counts[-1]
    for what in before:
        assert after[what] <= before[what], f"{what}: {before[what]} before, {after[what]} after {STARTS} starts"


def leftovers() -> dict[str, int]:
    """What is alive now. Threads of the loop's own pool come and stay, and belong to nobody."""
    descriptors = Path("/proc/self/fd")
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate()),
        "open files": len(os.listdir(descriptors)) if descriptors.is_dir() else 0,
    }


PLATFORM_CHECKS: Sequence[Callable[[MakeNetwork], Awaitable[None]]] = (
    ids_come_back_as_they_are_seen,
    what_the_network_repeats_is_handled_once,
    all_that_is_visible_has_a_receipt,
    what_is_declared_is_proved,
    starts_and_stops_leave_nothing_behind,
)
"""Each takes a `MakeNetwork` and raises AssertionError."""
