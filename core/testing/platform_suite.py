"""What every chat platform must do. `pytest --chatelier-platform my_package:make` runs it, and prints what was proved.

`make` gives a person's side of the network (`network.MakeNetwork`). What a platform does not declare is not asked of it, what it
declares is proved, and what needs a network that can be made to fail is asked where the test's network can (`Echoes`, `HoldsBack`,
`Cuts`, `Garbles`, `Waits`, `Threads`, `Groups`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..chat.messages import Button, Defer, Event, FirstAnswer, Reply, Said
from ..errors import BadInput, Retry, Unavailable
from ..registered import undeclared
from .answers import ANSWERS
from .network import (
    PROVED,
    Check,
    Cuts,
    Echoes,
    Garbles,
    HoldsBack,
    MakeNetwork,
    Meeting,
    Visible,
    ids_of,
    leftovers,
    met,
    plain,
    squeezed,
)
from .proofs import PROOFS

STARTS = 50
WARM_UP = 3
"""Starts before anything is counted: what is imported, resolved or pooled once is no leak."""
REPEATS = 11
OTHER_IDS = (3, 7)
"""Which of them come under another event id."""
IN_A_ROW = 10
MOST_PICTURES = 20
"""In one reply; where an album has no end, this has to do."""
PAUSE_SECONDS = 7


async def ids_come_back_as_they_are_seen(make: MakeNetwork) -> str:
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
        network, colon, person = second.sender.replace("/", ":", 1).partition(":")
        assert network and colon and person, 'a handle is "network:id"'  # noqa: PT018 - one rule
        receipts = [*await meeting.show(Reply(text="one")), *await meeting.show(Reply(text="two"))]
        receipts += await meeting.show(Reply(text="three"))
        ids = ids_of(receipts)
        shown = await meeting.network.visible()
        assert ids == [each.id for each in shown]
        assert len(set(ids)) == len(ids)
        assert [each.text.strip() for each in shown] == ["one", "two", "three"]
        assert all(receipt.chat.chat == meeting.chat.chat for receipt in receipts)
    return PROVED


async def what_the_account_says_itself_is_no_event(make: MakeNetwork) -> str:
    """Or it would answer itself for ever."""
    async with met(make) as meeting:
        if not isinstance(meeting.network, Echoes):
            return "the network never tells it"
        await meeting.show(Reply(text="what I said"))
        await meeting.network.echo()
        await heard(meeting, "what you said")
    return PROVED


async def what_the_network_repeats_is_handled_once(make: MakeNetwork) -> str:
    """Eleven repeats, two of them under another event id, have a key of the first delivery; the next message has not."""
    async with met(make) as meeting:
        for n in range(REPEATS):
            await meeting.network.repeat(as_other=n in OTHER_IDS)
        await heard(meeting, "and now")
        await meeting.network.repeat()
        await heard(meeting, "the end")
        assert len(meeting.gateway.events) == 3
    return PROVED


async def heard(meeting: Meeting, text: str) -> Event:
    """The next event is this message, and nothing that came before it."""
    await meeting.network.say(text)
    event = await meeting.gateway.next_event()
    assert isinstance(event.body, Said), f"{event.body} came before what was said"
    assert event.body.text == text, f"“{event.body.text}” came as a new event"
    return event


async def all_that_is_visible_has_a_receipt(make: MakeNetwork) -> str:
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
    return PROVED


async def class_and_declaration_agree(make: MakeNetwork) -> str:
    """What the class can do is declared, and what is declared the class can do."""
    async with met(make) as meeting:
        assert not undeclared(meeting.network.platform), undeclared(meeting.network.platform)
    return PROVED


async def what_does_not_fit_is_shown_another_way(make: MakeNetwork) -> str:
    """Longer texts in several messages, more pictures in several albums, more buttons as numbers, a larger file by its name."""
    async with met(make) as meeting:
        can = meeting.can
        if can.text:
            words = " ".join(f"word{n}" for n in range(can.text // 4))
            assert squeezed(words) in squeezed(
                "".join(each.text for each in await shown_of(meeting, Reply(text=words)))
            )
        pictures = [await meeting.picture(f"#{n:06x}") for n in range(min(can.album, MOST_PICTURES) + 1)]
        seen = await shown_of(meeting, Reply(text="many", media=tuple(pictures)))
        assert sum(len(each.media) for each in seen) == len(pictures)
        many = tuple(Button(label=f"n{n}", payload=f"a.{n}") for n in range(can.buttons.total + 1))
        told = " ".join(each.text for each in await shown_of(meeting, Reply(text="many", buttons=(many,))))
        assert all(button.label in told for button in many)
        limits = [limit for kind, limit in can.upload.items() if kind in ("", "file")]
        if limits:
            large = replace(pictures[0], name="too large.png")
            large = replace(large, blob=replace(large.blob, size=max(can.upload.values()) + 1))
            (seen_once,) = await shown_of(meeting, Reply(text="look", media=(large,)))
            assert not seen_once.media
            assert large.name in seen_once.text
    return PROVED


async def shown_of(meeting: Meeting, reply: Reply) -> Sequence[Visible]:
    """The messages that a reply became."""
    ids = set(ids_of(await meeting.show(reply)))
    return [each for each in await meeting.network.visible() if each.id in ids]


async def every_first_answer_is_taken(make: MakeNetwork) -> str:
    """Nothing, later, later and privately: whatever the core answers first, the next message arrives."""
    answers: tuple[FirstAnswer, ...] = (None, Defer(), Defer(private=True))
    async with met(make) as meeting:
        for n, first in enumerate(answers):

            async def answer(_: Event, first: FirstAnswer = first) -> FirstAnswer:
                return first

            meeting.gateway.answer = answer
            await heard(meeting, f"message {n}")
            await meeting.show(Reply(text=f"answer {n}"))
        assert [each.text.strip() for each in await meeting.network.visible()] == ["answer 0", "answer 1", "answer 2"]
    return PROVED


async def what_is_said_comes_in_order(make: MakeNetwork) -> str:
    """Ten messages of a person, and ten of the account, one right after the other."""
    async with met(make) as meeting:
        for n in range(IN_A_ROW):
            await meeting.network.say(f"question {n}")
        events = [await meeting.gateway.next_event() for _ in range(IN_A_ROW)]
        said = [event.body.text for event in events if isinstance(event.body, Said)]
        assert said == [f"question {n}" for n in range(IN_A_ROW)]
        receipts = [await meeting.send(plain(f"answer {n}")) for n in range(IN_A_ROW)]
        assert [each.text.strip() for each in await meeting.network.visible()] == [
            f"answer {n}" for n in range(IN_A_ROW)
        ]
        assert all(one.ids != other.ids for one, other in pairwise(receipts))
    return PROVED


async def a_pause_that_the_network_asks_for_is_told_exactly(make: MakeNetwork) -> str:
    """`Retry` with the network's own seconds, nothing visible and nothing tried again by itself; after it the message goes."""
    async with met(make) as meeting:
        if not isinstance(meeting.network, HoldsBack):
            return "the test's network asks for none"
        await meeting.network.hold_back(PAUSE_SECONDS)
        message = meeting.message(plain("in a while"))
        told: float | None = None
        try:
            await meeting.network.platform.send(message)
        except Retry as later:
            told = later.after
        assert told == PAUSE_SECONDS, f"{PAUSE_SECONDS} s were asked for, {told} s are told"
        assert not await meeting.network.visible()
        await meeting.network.platform.send(message)
        assert [each.text.strip() for each in await meeting.network.visible()] == ["in a while"]
    return PROVED


async def a_broken_connection_is_made_anew(make: MakeNetwork) -> str:
    """Both ways, and no message is lost or doubled by it."""
    async with met(make) as meeting:
        if not isinstance(meeting.network, Cuts):
            return "the test's network has nothing to cut"
        await heard(meeting, "before")
        await meeting.network.cut()
        await heard(meeting, "after")
        await meeting.show(Reply(text="answer"))
        assert [each.text.strip() for each in await meeting.network.visible()] == ["answer"]
        assert len(meeting.gateway.events) == 3
    return PROVED


async def nonsense_is_set_aside(make: MakeNetwork) -> str:
    """An event that nobody can read holds up no other one."""
    async with met(make) as meeting:
        if not isinstance(meeting.network, Garbles):
            return "the test's network delivers none"
        for n in range(2):
            await meeting.network.garble()
            await heard(meeting, f"after nonsense {n}")
    return PROVED


async def what_cannot_be_stored_is_not_acknowledged(make: MakeNetwork) -> str:
    """While the store is down the network keeps the message and tells it again, or its sender hears that it was not taken."""
    async with met(make) as meeting:
        left = [2]

        async def refuse(_: Event) -> FirstAnswer:
            if left[0]:
                left[0] -= 1
                raise Unavailable("the store is down")
            return None

        meeting.gateway.answer = refuse
        try:
            await meeting.network.say("do not lose me")
        except (BadInput, Unavailable):
            left[0] = 0
            await meeting.network.say("do not lose me")
        event = await meeting.gateway.next_event()
        assert isinstance(event.body, Said)
        assert event.body.text == "do not lose me"
        assert not left[0], "it was told once, though that could not be stored"
    return PROVED


async def starts_and_stops_leave_nothing_behind(make: MakeNetwork) -> str:
    """Fifty lives of an account: no task, thread or open file more than before."""
    counts = []
    for _ in range(WARM_UP + STARTS):
        async with met(make) as meeting:
            await meeting.show(Reply(text="hello", media=(await meeting.picture("red"),)))
        counts.append(leftovers())
    before, after = counts[WARM_UP - 1], counts[-1]
    for what in before:
        assert after[what] <= before[what], f"{what}: {before[what]} before, {after[what]} after {STARTS} starts"
    return PROVED


PLATFORM_CHECKS: Sequence[Check] = (
    ids_come_back_as_they_are_seen,
    what_the_account_says_itself_is_no_event,
    what_the_network_repeats_is_handled_once,
    all_that_is_visible_has_a_receipt,
    class_and_declaration_agree,
    *PROOFS,
    what_does_not_fit_is_shown_another_way,
    every_first_answer_is_taken,
    *ANSWERS,
    what_is_said_comes_in_order,
    a_pause_that_the_network_asks_for_is_told_exactly,
    a_broken_connection_is_made_anew,
    nonsense_is_set_aside,
    what_cannot_be_stored_is_not_acknowledged,
    starts_and_stops_leave_nothing_behind,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. said: "" where it is proved; why it was not asked, or what failed."""

    check: str
    outcome: str
    said: str = ""


async def check_platform(make: MakeNetwork) -> Sequence[Finding]:
    """Every check, one after the other. A failure is a finding too."""
    found = []
    for check in PLATFORM_CHECKS:
        try:
            said = await check(make)
        except Exception as error:  # noqa: BLE001 - a third party's platform may raise anything
            found.append(Finding(check.__name__, "failed", str(error) or type(error).__name__))
        else:
            found.append(Finding(check.__name__, "not asked" if said else "proved", said))
    return found
