"""Each capability that a platform declares works, at its limits. What is not declared is not asked."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import wraps

from ..chat.capabilities import Capabilities
from ..chat.document import Document
from ..chat.messages import (
    Ask,
    Button,
    Called,
    Event,
    FirstAnswer,
    Form,
    Option,
    Pressed,
    Receipt,
    Reply,
    Said,
    Submitted,
)
from ..chat.platform import Deletes, Edits, Finds, Signals
from ..keys import token
from .network import NOT_DECLARED, PROVED, Check, MakeNetwork, Meeting, met, plain, squeezed

LONGEST = 100_000
"""Characters that stand for "unlimited"."""
PAYLOAD = 64
"""Bytes of the longest payload that the core ever puts on a button."""

Proof = Callable[[Meeting], Awaitable[None]]


def of(declared: Callable[[Capabilities], object]) -> Callable[[Proof], Check]:
    """A check of what is declared, made from its proof."""

    def checked(prove: Proof) -> Check:
        @wraps(prove)
        async def check(make: MakeNetwork) -> str:
            async with met(make) as meeting:
                if not declared(meeting.can):
                    return NOT_DECLARED
                await prove(meeting)
            return PROVED

        return check

    return checked


@of(lambda can: True)
async def texts_and_captions_arrive_whole(meeting: Meeting) -> None:
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


@of(lambda can: can.buttons.per_row)
async def buttons_bring_back_what_they_carry(meeting: Meeting) -> None:
    """As many as are declared, with labels and payloads as long as declared; each brings back its payload."""
    rules = meeting.can.buttons
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


@of(lambda can: not can.buttons.per_row)
async def numbers_stand_in_for_buttons(meeting: Meeting) -> None:
    """Buttons that became a list are read as one, and the number that is said arrives as it was said."""
    buttons = (Button(label="Again", payload="j.job.again"), Button(label="Hide", payload="j.job.hide"))
    receipts = await meeting.show(Reply(text="choose", buttons=(buttons,)))
    text = (await meeting.seen(receipts[-1])).text
    places = [text.find(part) for part in ("1", "Again", "2", "Hide")]
    assert -1 not in places, f"a number or a label is missing: {text!r}"
    assert places == sorted(places)
    await meeting.network.say("2")
    event = await meeting.gateway.next_event()
    assert isinstance(event.body, Said)
    assert event.body.text == "2"


@of(lambda can: can.edit_text)
async def texts_are_edited(meeting: Meeting) -> None:
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


@of(lambda can: can.edit_media)
async def pictures_are_edited(meeting: Meeting) -> None:
    """Another picture and other words take the place of the first."""
    platform = meeting.network.platform
    assert isinstance(platform, Edits)
    receipt = await meeting.send(plain("before"), await meeting.picture("red"))
    before = await meeting.seen(receipt)
    receipt = await platform.edit(receipt, meeting.message(plain("after"), await meeting.picture("blue")))
    after = await meeting.seen(receipt)
    assert after.text.strip() == "after"
    assert len(after.media) == 1
    assert after.media != before.media


@of(lambda can: can.edit_media and not can.text_stays_text)
async def a_text_becomes_a_picture(meeting: Meeting) -> None:
    """Where it is not said that a text stays one, it becomes a picture."""
    platform = meeting.network.platform
    assert isinstance(platform, Edits)
    receipt = await meeting.send(plain("before"))
    receipt = await platform.edit(receipt, meeting.message(plain("after"), await meeting.picture("blue")))
    assert len((await meeting.seen(receipt)).media) == 1


@of(lambda can: can.delete)
async def messages_are_deleted(meeting: Meeting) -> None:
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


@of(lambda can: can.finds)
async def messages_are_found_again(meeting: Meeting) -> None:
    """What was sent is found by its key with the same ids; what was not is never claimed to be there."""
    platform = meeting.network.platform
    assert isinstance(platform, Finds)
    sent = meeting.message(plain("look for me"))
    receipt = await platform.send(sent)
    found = await platform.find(sent)
    assert found == "unknown" or (isinstance(found, Receipt) and found.ids == receipt.ids)
    assert await platform.find(replace(sent, key=token())) in ("absent", "unknown")


@of(lambda can: can.album > 1)
async def albums_arrive_in_order(meeting: Meeting) -> None:
    """As many pictures as declared, ten at most here, in one send and in order."""
    count = min(meeting.can.album, 10)
    pictures = [await meeting.picture(f"#0000{n + 10:02x}", as_file=True) for n in range(count)]
    receipt = await meeting.send(plain("an album"), *pictures)
    ids = set(receipt.ids)
    files = [data for each in await meeting.network.visible() if each.id in ids for data in each.media]
    assert files == [meeting.gateway.blobs.kept[picture.blob.sha256] for picture in pictures]


@of(lambda can: can.private)
async def private_answers_reach_who_asked(meeting: Meeting) -> None:
    """Who it is for sees it."""
    message = replace(meeting.message(plain("for you alone")), private_to=meeting.hello.sender)
    receipt = await meeting.network.platform.send(message)
    assert (await meeting.seen(receipt)).text.strip() == "for you alone"


@of(lambda can: can.busy or can.reactions)
async def signs_are_taken(meeting: Meeting) -> None:
    """Of being busy, of having seen a message and of being done with it."""
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


@of(lambda can: can.forms)
async def forms_come_back_filled_in(meeting: Meeting) -> None:
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


@of(lambda can: can.typed_options)
async def typed_options_arrive_as_given(meeting: Meeting) -> None:
    """Quotes and dashes in a value are part of it."""
    await meeting.network.call("make", {"prompt": 'a "red" fox --width 5', "width": "768"})
    event = await meeting.gateway.next_event()
    assert isinstance(event.body, Called)
    assert event.body.command == "make"
    given = {name: str(value) for name, value in event.body.options.items()}
    assert given == {"prompt": 'a "red" fox --width 5', "width": "768"}


@of(lambda can: can.attachments)
async def attached_files_can_be_read(meeting: Meeting) -> None:
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


@of(lambda can: can.completion)
async def completion_proposes_what_there_is(meeting: Meeting) -> None:
    """Of commands, and of an option's choices."""
    assert [name.strip("/ ") for name in await meeting.network.complete("", "", "ma")] == ["make"]
    assert list(await meeting.network.complete("make", "style", "oil")) == ["oil on canvas"]


PROOFS: Sequence[Check] = (
    texts_and_captions_arrive_whole,
    buttons_bring_back_what_they_carry,
    numbers_stand_in_for_buttons,
    texts_are_edited,
    pictures_are_edited,
    a_text_becomes_a_picture,
    messages_are_deleted,
    messages_are_found_again,
    albums_arrive_in_order,
    private_answers_reach_who_asked,
    signs_are_taken,
    forms_come_back_filled_in,
    typed_options_arrive_as_given,
    attached_files_can_be_read,
    completion_proposes_what_there_is,
)
