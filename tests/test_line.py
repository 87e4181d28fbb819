"""An account's line: what is said goes out in order, once, and nobody's trouble holds up anybody else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatelier import (
    Blob,
    Button,
    ButtonRules,
    Capabilities,
    ChatRef,
    Gone,
    Media,
    OperatorMust,
    Outgoing,
    PlainDialect,
    RateRules,
    Receipt,
    Refused,
    Reply,
    Retry,
    SystemClock,
    Tx,
    Unavailable,
    Uncertain,
)
from chatelier.core.chat import words
from chatelier.core.chat.buttons import NUMBERINGS
from chatelier.core.chat.inbox import ARRIVALS
from chatelier.core.chat.line import DELIVERY_SECONDS, IDLE_SECONDS, LOOK_SECONDS, PAGE, TRIES, Line
from chatelier.core.chat.outbox import MESSAGES, Address, Message, post
from chatelier.core.errors import Lost
from chatelier.core.leases import ACCOUNTS, take
from chatelier.core.media.renditions import Copy, Renditions, Target
from chatelier.core.registered import KINDS
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.platform import FakePlatform, with_capabilities
from chatelier.core.testing.store import FakeStore
from chatelier.plugins.sqlite import open_sqlite

PICTURE = Media(blob=Blob(sha256="0" * 64, size=10, mime="image/png", kind="image"), name="a.png", inline=b"p")


class Plain:
    """A network that can only send: what it cannot do, `FakePlatform` does not do for it."""

    def __init__(self, network: FakePlatform, can: Capabilities) -> None:
        self.name = network.name
        self._network = network
        self._can = can
        self.run, self.read = network.run, network.read

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return self._can

    async def send(self, message: Outgoing) -> Receipt:
        return replace(await self._network.send(message), editable=False, deletable=False)


class Desk:
    """A line of a network in memory, with a clock that stands still."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(KINDS, self.clock)
        self.network = FakePlatform()
        self.holds = True
        self._said = 0
        self.start()

    def start(self, platform: Any = None) -> None:
        self.line = Line(self.store, platform or self.network, self._check, self.clock)
        self.running = asyncio.create_task(self.line.run())

    async def _check(self, tx: Tx) -> None:
        if not self.holds:
            raise Lost("the account is somebody else's")

    async def restart(self, platform: Any = None) -> None:
        await self.stop()
        self.start(platform)

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.wait({self.running})

    async def say(
        self, *replies: Reply | str, chat: str = "room", replaces: str = "", job: str = "", wait: float = 0
    ) -> Message:
        """The last of these as it stands when everything is quiet."""
        self._said += 1
        said = [Reply(text=reply) if isinstance(reply, str) else reply for reply in replies]
        to, cause = Address(chat=self.network.chat(chat), sender="fake:ada", reply_to="7"), f"said {self._said}"
        rows = await self.store.atomically(lambda tx: post(tx, to, said, cause=cause, replaces=replaces, job=job))
        await self.quiet(wait)
        return await self.row(rows[-1].key)

    async def post(self, to: Address, text: str) -> None:
        """One reply with a cause of its own, and no pause after it."""
        cause = f"posted to {to.chat.chat}: {text}"

        async def work(tx: Tx) -> None:
            await post(tx, to, [Reply(text=text)], cause=cause)

        await self.store.atomically(work)

    async def quiet(self, seconds: float = 0) -> None:
        for _ in range(4):
            await settle()
        if seconds:
            await self.clock.advance(seconds)
            await self.quiet()

    async def row(self, key: str) -> Message:
        row = await self.store.get(MESSAGES, key)
        assert row is not None
        return row

    def edit(self, card: Message, text: str) -> None:
        self.line.show(card, Reply(text=text))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.stop()


def once(error: Exception) -> Callable[[Outgoing], None]:
    """Raises the error the first time it is called."""
    left = [error]

    def trouble(_: Outgoing) -> None:
        if left:
            raise left.pop()

    return trouble


def always(error: Exception) -> Callable[[Outgoing], None]:
    def trouble(_: Outgoing) -> None:
        raise error

    return trouble


def only_in(chat: str, trouble: Callable[[Outgoing], None]) -> Callable[[Outgoing], None]:
    return lambda message: trouble(message) if message.chat.chat == chat else None


def only_with(text: str, trouble: Callable[[Outgoing], None]) -> Callable[[Outgoing], None]:
    return lambda message: trouble(message) if text in repr(message.text) else None


def with_media(trouble: Callable[[Outgoing], None]) -> Callable[[Outgoing], None]:
    return lambda message: trouble(message) if message.media else None


async def test_what_is_said_in_a_conversation_comes_in_its_order(desk: Desk) -> None:
    await desk.say("one", "two", "three")
    await desk.say("four")
    assert desk.network.texts == ["one", "two", "three", "four"]


async def test_a_hundred_messages_of_one_moment_come_in_the_order_of_their_commits(desk: Desk) -> None:
    texts = [str(n) for n in range(100)]
    to = Address(chat=desk.network.chat(), sender="fake:ada")
    for text in texts:
        await desk.post(to, text)
    await desk.network.until(lambda: len(desk.network.shown) == len(texts))
    assert desk.network.texts == texts


async def test_more_than_a_page_in_other_conversations_holds_up_nobody(desk: Desk) -> None:
    desk.network.before_send = lambda message: once(Retry(9))(message) if message.chat.chat != "quick" else None
    for n in range(PAGE + 5):
        to = Address(chat=desk.network.chat(f"slow {n}"), sender="fake:ada")
        await desk.post(to, f"slow {n}")
    await desk.say("here I am", chat="quick", wait=6)
    assert desk.network.texts == ["here I am"]


async def test_a_clock_that_is_turned_back_changes_no_order(desk: Desk) -> None:
    await desk.stop()
    await desk.say("first")
    desk.clock._elapsed_us -= 60_000_000
    await desk.say("second")
    desk.clock._elapsed_us += 60_000_000
    desk.start()
    await desk.quiet()
    assert desk.network.texts == ["first", "second"]


async def test_a_network_that_asks_to_wait_holds_back_one_conversation_for_exactly_so_long(desk: Desk) -> None:
    desk.network.before_send = only_in("slow", once(Retry(7.5)))
    await desk.say("first", chat="slow")
    await desk.say("second", chat="slow")
    await desk.say("elsewhere", chat="quick")
    assert desk.network.texts == ["elsewhere"]
    await desk.quiet(7.4)
    assert desk.network.texts == ["elsewhere"]
    await desk.quiet(0.1)
    assert desk.network.texts == ["elsewhere", "first", "second"]


async def test_a_wait_outlives_the_process(desk: Desk) -> None:
    desk.network.before_send = once(Retry(20))
    await desk.say("later")
    await desk.restart()
    await desk.quiet(19)
    assert desk.network.texts == []
    await desk.quiet(1)
    assert desk.network.texts == ["later"]


async def test_a_wait_is_kept_when_it_cannot_be_stored(desk: Desk) -> None:
    def wait_and_lose_the_store(_: Outgoing) -> None:
        desk.store.trouble = Unavailable("away")
        raise Retry(10)

    desk.network.before_send = wait_and_lose_the_store
    await desk.post(Address(chat=desk.network.chat(), sender="fake:ada"), "later")
    await desk.quiet(1)
    desk.network.before_send = lambda _: None
    desk.store.trouble = None
    await desk.quiet(8)
    assert desk.network.texts == []
    await desk.quiet(3)
    assert desk.network.texts == ["later"]


@pytest.mark.parametrize("error", [Refused("too rude"), Gone("no such chat"), OperatorMust("wrong token")])
async def test_what_can_never_be_sent_fails_in_words_and_lets_the_rest_go(desk: Desk, error: Exception) -> None:
    desk.network.before_send = once(error)
    await desk.say("never", "after it")
    failed, after, *instead = sorted([row async for row in _rows(desk)], key=lambda row: row.place)
    assert (failed.state, failed.words) == ("failed", str(error))
    assert after.state == "sent"
    told = [] if isinstance(error, Gone) else [words.not_sent(str(error), "")]
    assert desk.network.texts == ["after it", *told]
    assert [row.instead_of for row in instead] == [failed.key] * len(told)


async def _rows(desk: Desk) -> AsyncIterator[Message]:
    for row in await desk.store.find(MESSAGES, order="created"):
        yield row


async def test_a_button_that_no_network_takes_fails_at_once(desk: Desk) -> None:
    row = await desk.say(Reply(text="hi", buttons=((Button(label="x", payload="p" * 200),),)))
    assert row.state == "failed"
    assert (await desk.say("next")).state == "sent"


@pytest.mark.parametrize("error", [Uncertain("no answer"), ConnectionResetError(), RuntimeError("a bug")])
async def test_what_arrived_though_its_answer_was_lost_is_found_and_not_sent_again(
    desk: Desk, error: Exception
) -> None:
    desk.network.after_send = once(error)
    row = await desk.say("hello", wait=2)
    assert desk.network.texts == ["hello"]
    assert (row := await desk.row(row.key)).state == "sent"
    assert row.receipts[0].ids == ("1",)


async def test_what_did_not_arrive_is_sent_again_unmarked(desk: Desk) -> None:
    desk.network.before_send = once(Uncertain("sent?"))
    row = await desk.say("hello", wait=2)
    assert desk.network.texts == ["hello"]
    assert not (await desk.row(row.key)).again


async def test_a_send_that_is_cancelled_from_within_does_not_stop_the_conversation(desk: Desk) -> None:
    desk.network.before_send = once(asyncio.CancelledError())  # type: ignore[arg-type] # what a plugin may let through
    await desk.say("hello", "world", wait=2)
    assert desk.network.texts == ["hello", "world"]


async def test_a_network_that_is_away_for_an_hour_loses_nothing(desk: Desk) -> None:
    desk.network.before_send = always(ConnectionRefusedError("away"))
    await desk.say("hello", "world", wait=3600)
    assert desk.network.texts == []
    desk.network.before_send = lambda _: None
    await desk.quiet(61)
    assert desk.network.texts == ["hello", "world"]


async def test_nor_where_nobody_can_look_whether_it_came(desk: Desk) -> None:
    await desk.restart(Plain(desk.network, with_capabilities(finds=False, edit_text=False, edit_media=False)))
    desk.network.before_send = always(Unavailable("not on line"))
    await desk.say("hello", "world", wait=3600)
    desk.network.before_send = lambda _: None
    await desk.quiet(61)
    assert desk.network.texts == ["hello", "world"], "nothing was sent, so nothing is sent again"


async def test_a_copy_that_cannot_be_made_holds_up_nobody(desk: Desk) -> None:
    class Full(Renditions):
        def __init__(self) -> None:
            """It needs nothing for what it does."""

        async def of(self, blob: Blob, target: Target) -> Copy | None:
            raise OSError(28, "No space left on device")

    await desk.stop()
    desk.network.can = with_capabilities(inline_types=frozenset({"image/jpeg"}))
    desk.line = Line(desk.store, desk.network, desk._check, desk.clock, Full())
    desk.running = asyncio.create_task(desk.line.run())
    odd = replace(PICTURE, blob=replace(PICTURE.blob, width=5, height=5), inline=b"")
    await desk.say(Reply(text="with a copy", media=(odd,)), "after it")
    await desk.say("elsewhere", chat="other")
    assert desk.network.texts == ["with a copy", "after it", "elsewhere"]


async def test_a_network_that_only_asks_to_wait_costs_no_message(desk: Desk) -> None:
    left = [10]

    def busy(_: Outgoing) -> None:
        if left[0]:
            left[0] -= 1
            raise Retry(301)

    desk.network.before_send = only_with("hello", busy)
    await desk.say("hello")
    for n in range(52):
        await desk.say(f"elsewhere {n}", chat="other", wait=60)
    assert "hello" in desk.network.texts


async def test_a_message_that_never_goes_holds_up_its_conversation_no_longer_than_it_must(desk: Desk) -> None:
    """An upload that always times out, while all else goes."""
    desk.network.before_send = only_with("too long", always(TimeoutError("no answer")))
    failed = await desk.say("too long", chat="stuck")
    behind = await desk.say("behind it", chat="stuck")
    for n in range(30):
        await desk.say(f"elsewhere {n}", wait=60)
    assert [(await desk.row(row.key)).state for row in (failed, behind)] == ["failed", "sent"]
    assert desk.network.texts[-1] != "behind it"
    assert words.not_sent("no answer", "") in desk.network.texts


async def test_nor_where_nobody_else_writes_but_its_own_person(desk: Desk) -> None:
    desk.network.before_send = only_with("too long", always(TimeoutError("no answer")))
    await desk.say("too long")
    for n in range(20):
        desk.line.heard()
        await desk.post(Address(chat=desk.network.chat("room"), sender="fake:ada"), f"answer {n}")
        await desk.quiet(60)
    assert desk.network.texts[:2] == ["answer 0", "answer 1"]


async def test_a_network_that_is_away_for_a_day_gives_up_and_tells_once_it_is_back(desk: Desk) -> None:
    desk.network.before_send = always(ConnectionRefusedError("away"))
    row = await desk.say("hello", wait=DELIVERY_SECONDS + 120)
    assert (await desk.row(row.key)).state == "failed"
    desk.network.before_send = lambda _: None
    await desk.quiet(61)
    assert desk.network.texts == [words.not_sent("away", "")]


async def test_a_network_that_always_asks_to_wait_is_not_asked_for_ever(desk: Desk) -> None:
    desk.network.before_send = only_with("hello", always(Retry(3_000)))
    row = await desk.say("hello", wait=DELIVERY_SECONDS + 3_001)
    assert (await desk.row(row.key)).state == "failed"
    assert len(desk.network.texts) == 1


async def test_words_that_stand_in_for_a_message_are_not_stood_in_for(desk: Desk) -> None:
    desk.network.before_send = always(Refused("no"))
    await desk.say("hello", wait=10)
    assert [row.instead_of != "" async for row in _rows(desk)] == [False, True]
    assert desk.network.texts == []


async def test_a_result_that_the_network_refuses_is_told_in_the_cards_place(desk: Desk) -> None:
    card = await desk.say("Waiting …")
    desk.network.before_edit = desk.network.before_send = with_media(always(Refused("that file is too large")))
    await desk.say(Reply(text="here it is", media=(PICTURE,)), replaces=card.key, job="a1b2")
    (told,) = desk.network.texts
    assert "that file is too large" in told
    assert "/show a1b2" in told


async def test_a_plugin_that_always_fails_is_given_up(desk: Desk) -> None:
    desk.network.before_send = only_in("bad", always(RuntimeError("a bug")))
    row = await desk.say("hello", chat="bad", wait=1000)
    assert (row := await desk.row(row.key)).state == "failed"
    assert row.words == "a bug"
    assert row.tries == TRIES - 1


async def test_without_a_way_to_look_a_message_is_sent_once_more_and_says_so(desk: Desk) -> None:
    await desk.restart(Plain(desk.network, with_capabilities(finds=False, edit_text=False, edit_media=False)))
    desk.network.after_send = once(Uncertain("no answer"))
    row = await desk.say("hello", wait=5)
    first, second = desk.network.texts
    assert first == "hello"
    assert second != first
    assert second.startswith("hello")
    assert (await desk.row(row.key)).again


async def test_and_never_a_third_time(desk: Desk) -> None:
    await desk.restart(Plain(desk.network, with_capabilities(finds=False, edit_text=False, edit_media=False)))
    desk.network.after_send = only_in("room", always(Uncertain("no answer")))
    row = await desk.say("hello", wait=300)
    assert len(desk.network.texts) == 2
    assert (row := await desk.row(row.key)).state == "failed"
    assert row.words == words.MAYBE_SENT


async def test_each_part_of_a_long_message_may_be_sent_once_more(desk: Desk) -> None:
    can = with_capabilities(finds=False, edit_text=False, edit_media=False, text=40)
    await desk.restart(Plain(desk.network, can))
    seen: list[str] = []

    def lose_each_first_answer(message: Outgoing) -> None:
        if message.key not in seen:
            seen.append(message.key)
            raise Uncertain("no answer")

    desk.network.after_send = lose_each_first_answer
    row = await desk.say("a" * 30 + "\n\n" + "b" * 30 + "\n\n" + "c" * 30, wait=300)
    assert (await desk.row(row.key)).state == "sent"
    assert "".join(desk.network.texts).count("a" * 30) == 2
    assert any("again" in text for text in desk.network.texts)


async def test_a_long_message_goes_on_where_it_was_cut_off(desk: Desk) -> None:
    desk.network.can = with_capabilities(text=40)
    texts = ["a" * 30, "b" * 30, "c" * 30]

    def die_at_the_second(message: Outgoing) -> None:
        if len(desk.network.shown) == 2:
            desk.holds = False

    desk.network.after_send = die_at_the_second
    await desk.say("\n\n".join(texts))
    assert desk.network.texts == texts[:2]
    assert isinstance(desk.running.exception(), BaseExceptionGroup)
    desk.network.after_send = lambda _: None
    desk.holds = True
    desk.start()
    await desk.quiet(1)
    assert desk.network.texts == texts


async def test_a_process_that_lost_the_account_sends_nothing(desk: Desk) -> None:
    desk.holds = False
    await desk.say("hello")
    assert desk.network.texts == []
    with pytest.raises(BaseExceptionGroup) as raised:
        await desk.running
    assert raised.group_contains(Lost)


async def test_a_store_that_is_away_holds_messages_up_and_loses_no_receipt(desk: Desk) -> None:
    desk.network.after_send = lambda _: setattr(desk.store, "trouble", OperatorMust("the disk is full"))
    await desk.post(Address(chat=desk.network.chat(), sender="fake:ada"), "hello")
    await desk.quiet(30)
    desk.network.after_send = lambda _: None
    desk.store.trouble = None
    await desk.quiet(6)
    assert desk.network.texts == ["hello"]
    (row,) = await desk.store.find(MESSAGES, order="created")
    assert row.state == "sent"
    desk.store.trouble = Unavailable("away")
    await desk.quiet(30)
    desk.store.trouble = None
    await desk.say("world", wait=6)
    assert desk.network.texts == ["hello", "world"]


async def test_a_message_that_is_deleted_while_it_waits_is_forgotten(desk: Desk) -> None:
    desk.network.before_send = once(Retry(10))
    row = await desk.say("hello", "world")
    first = (await desk.store.find(MESSAGES, order="created"))[0 if row.place.endswith("1") else 1]
    await desk.store.atomically(lambda tx: tx.delete(MESSAGES, first.key))
    await desk.quiet(11)
    assert desk.network.texts in (["world"], ["hello"])


async def test_what_failed_since_it_was_read_is_not_sent_after_all(desk: Desk) -> None:
    class Late(FakeStore):
        """Its answers about waiting messages are as old as the first one that had any."""

        async def find(self, kind: Any, where: Any = None, **options: Any) -> Any:
            found = await super().find(kind, where, **options)
            if where and where.get("state") == "pending":
                old.extend(found if not old else ())
                return list(old)
            return found

    await desk.stop()
    old: list[Message] = []
    desk.store = Late(KINDS, desk.clock)
    desk.network.before_send = once(Refused("too rude"))
    await desk.post(Address(chat=desk.network.chat("room"), sender="fake:ada"), "never")
    desk.start()
    await desk.quiet(2 * LOOK_SECONDS)  # the line asks again, and is told of the first once more
    assert [one.reply.text for one in old] == ["never"]
    assert len(desk.network.texts) == 1
    assert "too rude" in desk.network.texts[0]
    assert (await desk.row(old[0].key)).state == "failed"


async def test_a_conversation_that_was_quiet_for_long_is_served_again(desk: Desk) -> None:
    await desk.say("hello", wait=IDLE_SECONDS * 2)
    await desk.say("world")
    assert desk.network.texts == ["hello", "world"]


async def test_an_empty_reply_is_done_at_once(desk: Desk) -> None:
    assert (await desk.say("")).state == "sent"
    assert desk.network.texts == []


async def test_buttons_that_are_numbers_are_remembered(desk: Desk) -> None:
    desk.network.can = with_capabilities(buttons=ButtonRules())
    menus = [("a.one", "a.two"), ("a.three",)]
    for menu in menus:
        row = await desk.say(Reply(text="Choose", buttons=(tuple(Button(label=p, payload=p) for p in menu),)))
        numbering = await desk.store.get(NUMBERINGS, row.conversation)
        assert numbering is not None
        assert numbering.payloads == menu


# --- cards


async def test_of_many_edits_the_latest_is_shown_within_the_budget(desk: Desk) -> None:
    desk.network.can = with_capabilities(rate=replace(desk.network.can.rate, edit_seconds=2.0))
    card = await desk.say("card")
    for n in range(10):
        desk.edit(card, f"{n} %")
        await desk.quiet()
    assert desk.network.texts == ["0 %"]
    await desk.quiet(2)
    assert desk.network.texts == ["9 %"]
    assert len(desk.network.last.edits) == 2


async def test_cards_of_all_conversations_share_the_accounts_edits_and_what_is_final_waits_for_none(desk: Desk) -> None:
    desk.network.can = with_capabilities(rate=replace(desk.network.can.rate, edit_seconds=0.01, edits_per_minute=6))
    rooms = [f"room{n}" for n in range(30)]
    cards = {room: await desk.say("card", chat=room) for room in rooms}

    def shown(text: str) -> int:
        return sum(one == text for one in desk.network.texts)

    for percent in ("1 %", "2 %"):
        for card in cards.values():
            desk.edit(card, percent)
        await desk.quiet()
    assert shown("1 %") + shown("2 %") == 1
    await desk.quiet(50)
    assert shown("1 %") + shown("2 %") == 6, "one each ten seconds"
    for room in rooms:
        await desk.say("done", chat=room, replaces=cards[room].key)
    assert shown("done") == len(rooms)


async def test_a_message_does_not_wait_for_the_budget_of_edits(desk: Desk) -> None:
    desk.network.can = with_capabilities(rate=replace(desk.network.can.rate, edit_seconds=100.0))
    card = await desk.say("card")
    desk.edit(card, "1 %")
    await desk.quiet()
    desk.edit(card, "2 %")
    await desk.say("a message")
    assert desk.network.texts == ["1 %", "a message"]


async def test_a_refused_edit_never_becomes_a_message_and_a_wait_is_honoured(desk: Desk) -> None:
    card = await desk.say("card")
    for error in (Refused("not modified"), RuntimeError("a bug"), Gone("deleted")):
        desk.network.before_edit = once(error)
        desk.edit(card, str(error))
        await desk.quiet(1)
    assert desk.network.texts == ["card"]
    desk.network.before_edit = once(Retry(51))
    desk.edit(card, "1 %")
    await desk.quiet(50)
    desk.edit(card, "2 %")
    await desk.quiet(0.9)
    assert desk.network.texts == ["card"]
    await desk.quiet(0.1)
    assert desk.network.texts == ["2 %"]


async def test_the_final_state_takes_the_cards_place_and_no_edit_follows(desk: Desk) -> None:
    card = await desk.say("card")
    final = await desk.say(Reply(text="done", media=(PICTURE,)), replaces=card.key)
    desk.edit(card, "99 %")
    await desk.quiet(5)
    assert desk.network.texts == ["done"]
    assert final.state == "sent"
    assert final.shown == ((await desk.row(final.key)).conversation + "|1",)
    assert (await desk.row(card.key)).shown == ()


async def test_where_media_cannot_be_edited_the_result_follows_and_the_card_goes(desk: Desk) -> None:
    desk.network.can = with_capabilities(edit_media=False)
    card = await desk.say("card")
    await desk.say(Reply(text="done", media=(PICTURE,)), replaces=card.key)
    assert desk.network.texts == ["done"]
    assert list(desk.network.shown) == ["2"]


async def test_a_card_that_cannot_go_says_where_the_result_is(desk: Desk) -> None:
    desk.network.can = with_capabilities(edit_media=False)
    card = await desk.say("card")
    kept = (replace(card.receipts[0], deletable=False),)
    await desk.store.atomically(lambda tx: tx.replace(MESSAGES, replace(card, receipts=kept)))
    await desk.say(Reply(text="done", media=(PICTURE,)), replaces=card.key)
    assert desk.network.texts == [words.DONE_BELOW, "done"]


@pytest.mark.parametrize("error", [Refused("cannot edit"), Gone("deleted"), RuntimeError("a bug")])
async def test_a_card_that_cannot_be_edited_is_followed_by_the_result(desk: Desk, error: Exception) -> None:
    card = await desk.say("card")
    desk.network.before_edit = always(error)
    final = await desk.say(Reply(text="done", media=(PICTURE,)), replaces=card.key, wait=60)
    assert desk.network.texts == ["done"]
    assert (await desk.row(final.key)).state == "sent"


async def test_a_result_that_follows_is_looked_up_as_any_message(desk: Desk) -> None:
    desk.network.can = with_capabilities(edit_media=False)
    card = await desk.say("card")
    desk.network.after_send = once(Uncertain("no answer"))
    await desk.say(Reply(text="done", media=(PICTURE,)), replaces=card.key, wait=2)
    assert desk.network.texts == ["done"]


async def test_an_edit_of_which_nobody_knows_is_made_again(desk: Desk) -> None:
    card = await desk.say("card")
    desk.network.before_edit = once(Uncertain("?"))
    await desk.say("done", replaces=card.key, wait=2)
    assert desk.network.texts == ["done"]


async def test_every_message_of_an_album_goes_when_it_is_replaced(desk: Desk) -> None:
    desk.network.can = with_capabilities(album=1, edit_media=False)
    pictures = await desk.say(Reply(text="three", media=(PICTURE,) * 3))
    assert len(desk.network.shown) == 3
    await desk.say("hidden", replaces=pictures.key)
    assert desk.network.texts == ["hidden"]


async def test_signs_are_a_courtesy(desk: Desk) -> None:
    chat = desk.network.chat()
    await desk.line.signal(chat, "busy")
    assert desk.network.signals == ["busy"]
    await desk.restart(Plain(desk.network, with_capabilities(finds=False)))
    await desk.line.signal(chat, "busy")
    assert desk.network.signals == ["busy"]


class FaultyNetwork(FakePlatform):
    """Its own code cannot say what is allowed in one chat."""

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        if chat and chat.chat == "poison":
            raise IndexError("a bug of the platform")
        return super().capabilities(chat)


async def test_a_message_that_cannot_be_fitted_is_tried_again_then_fails_and_the_rest_goes_on(desk: Desk) -> None:
    await desk.restart(FaultyNetwork())
    bad = await desk.say("a fox", chat="poison")
    good = await desk.say("a fox")
    assert (bad.state, good.state) == ("pending", "sent")
    await desk.quiet(60 * TRIES)
    bad = await desk.row(bad.key)
    assert (bad.state, bad.words) == ("failed", "a bug of the platform")


async def test_a_conversation_is_not_sent_more_than_its_network_allows(desk: Desk) -> None:
    desk.network.can = with_capabilities(rate=RateRules(per_chat_second=0.5))
    await desk.say("one", "two", "three")
    await desk.say("hello", chat="elsewhere")
    assert desk.network.texts == ["one", "hello"]
    await desk.quiet(2)
    assert desk.network.texts == ["one", "hello", "two"]
    await desk.quiet(2)
    assert desk.network.texts == ["one", "hello", "two", "three"]


async def test_an_account_is_not_sent_more_than_its_network_allows(desk: Desk) -> None:
    desk.network.can = with_capabilities(rate=RateRules(per_second=2))
    for n in range(5):
        await desk.say(f"{n}", chat=f"room {n}")
    assert desk.network.texts == ["0"]
    await desk.quiet(1)
    assert desk.network.texts == ["0", "1", "2"]
    await desk.quiet(1)
    assert desk.network.texts == ["0", "1", "2", "3", "4"]


async def test_the_parts_of_a_long_message_keep_to_the_rate_too(desk: Desk) -> None:
    desk.network.can = with_capabilities(text=40, rate=RateRules(per_chat_second=1))
    await desk.say("a" * 30 + "\n\n" + "b" * 30)
    assert len(desk.network.texts) == 1
    await desk.quiet(1)
    assert len(desk.network.texts) == 2


async def test_a_card_that_cannot_be_fitted_ends_nothing(desk: Desk) -> None:
    await desk.restart(FaultyNetwork())
    card = await desk.say("a card")
    desk.edit(replace(card, chat=desk.network.chat("poison")), "50 %")
    await desk.quiet(5)
    assert not desk.running.done()
    assert (await desk.say("a fox")).state == "sent"


# --- messages that the line takes over as they are stored


async def begun(desk: Desk, *texts: str) -> list[Message]:
    """Each in a transaction of its own, and stored before anything else happens."""
    to, rows = Address(chat=desk.network.chat("room"), sender="fake:ada"), list[Message]()
    for text in texts:
        work = partial(post, to=to, replies=[Reply(text=text)], cause=text, begin=desk.line.begin)
        rows += await desk.store.atomically(work)
    return rows


async def test_a_message_with_none_before_it_is_on_its_way_as_soon_as_it_is_stored(desk: Desk) -> None:
    await desk.quiet()
    (row,) = await begun(desk, "hello")
    assert row.state == "sending"
    await desk.quiet()
    row = await desk.row(row.key)
    # Stored, and sent: no write between the two.
    assert (desk.network.texts, row.state, row.version) == (["hello"], "sent", 2)


async def test_what_is_stored_behind_others_waits_for_them(desk: Desk) -> None:
    await desk.quiet()
    desk.network.before_send = once(Retry(10))
    rows = await begun(desk, "one", "two", "three")
    assert [row.state for row in rows][2] == "pending"
    await desk.quiet(11)
    assert desk.network.texts == ["one", "two", "three"]


async def test_a_process_that_dies_before_the_send_leaves_it_to_be_looked_up(desk: Desk) -> None:
    await desk.quiet()
    await desk.stop()
    (row,) = await begun(desk, "hello")
    assert row.state == "sending"
    desk.start()
    await desk.quiet()
    assert (desk.network.texts, (await desk.row(row.key)).again) == (["hello"], False)


async def test_a_rate_keeps_messages_waiting_where_they_can_be_cancelled(desk: Desk) -> None:
    desk.network.can = with_capabilities(rate=RateRules(per_chat_second=1))
    await desk.quiet()
    rows = await begun(desk, "one")
    assert [row.state for row in rows] == ["pending"]


async def test_who_lost_the_account_takes_nothing_over(desk: Desk) -> None:
    await desk.quiet()
    desk.holds = False
    rows = await begun(desk, "hello")
    assert [row.state for row in rows] == ["pending"]
    with pytest.raises(ExceptionGroup):
        await desk.running


async def test_a_store_that_is_slow_to_tell_of_it_does_not_delay_it_for_ever(desk: Desk) -> None:
    """Whoever stored it may never have heard that it is durable; the line finds it when it looks."""

    class Deaf(FakeStore):
        def changes(self, *kinds: Any, inserted: bool = False) -> Any:
            return super().changes(ARRIVALS, inserted=inserted)

    await desk.stop()
    desk.store = Deaf(KINDS, desk.clock)
    desk.start()
    await desk.quiet()
    await begun(desk, "hello")
    await desk.quiet()
    assert desk.network.texts == []
    await desk.quiet(2 * LOOK_SECONDS)
    assert desk.network.texts == ["hello"]


async def test_replies_of_one_commit_stay_in_order_though_another_process_writes_at_that_moment(tmp_path: Path) -> None:
    url, clock = f"sqlite://{tmp_path}/x.db", SystemClock()

    async def anyone(_: Tx) -> None:
        """This process holds the account."""

    async with open_sqlite(url, KINDS, clock) as store, open_sqlite(url, KINDS, clock) as other:
        network = FakePlatform()

        def both(before: int) -> bool:
            return len(network.shown) == 2 * (before + 1)

        line = Line(store, network, anyone, clock)
        sending = asyncio.create_task(line.run())
        for n in range(20):
            to = Address(chat=network.chat(f"room {n}"), sender="fake:ada")
            replies = [Reply(text="first"), Reply(text="second")]
            await take(other, ACCOUNTS, f"account {n}", owner="other", seconds=30)
            await store.atomically(partial(post, to=to, replies=replies, cause=str(n), begin=line.begin))
            await network.until(partial(both, n))
        sending.cancel()
        await asyncio.wait({sending})
        assert network.texts == ["first", "second"] * 20


async def test_what_stands_behind_a_message_that_takes_long_was_never_tried(desk: Desk) -> None:
    await desk.quiet()
    plain = Plain(desk.network, Capabilities(dialect=PlainDialect()))
    await desk.restart(plain)
    await desk.quiet()
    to = Address(chat=desk.network.chat("room"), sender="fake:ada")
    desk.network.answering.clear()
    for text in ("one", "two"):
        await desk.store.atomically(partial(post, to=to, replies=[Reply(text=text)], cause=text, begin=desk.line.begin))
        await desk.quiet()
    await desk.stop()
    desk.network.answering.set()
    desk.start(plain)
    await desk.quiet(6)
    assert desk.network.texts[-1] == "two"
