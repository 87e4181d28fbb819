"""An account's outbound line: one queue a conversation orders messages and card edits alike.

Only the holder of the account's lease runs it; the lease's fence is checked in every write.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, ParamSpec, TypeVar, cast

from ..clock import Clock
from ..errors import Exists, Gone, Lost, OperatorMust, Refused, Retry, Stale, Unavailable, Uncertain
from ..log import get_logger
from ..media.blob import Blob
from ..media.renditions import Copy, Renditions, Target
from ..storage import Store, Tx
from ..supervise import apart, guarded
from ..values import replace
from . import words
from .buttons import NUMBERINGS, Numbering
from .capabilities import Capabilities
from .fit import begins_as_media, fit, numbered
from .messages import ChatRef, Outgoing, Receipt, Reply
from .outbox import MESSAGES, Message, moment_of, post_instead
from .pace import Pace
from .platform import Deletes, Edits, Finds, Platform, Signals
from .targets import target_of, with_copies

log = get_logger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

TRIES = 8
"""Sends of one message that fail because of the platform's code."""
PROOFS = 3
"""Failures of one message, each after the network did something else: then the message is to blame, not the network …"""
STUCK_SECONDS = 900.0
"""… once it has failed for so long. A network may be half away for a while."""
DELIVERY_SECONDS = 86_400.0
"""Until a message is given up that a network does not take, whatever the reason: it holds up all behind it."""
EDIT_TRIES = 3
"""Edits that fail so; then the final state follows the card instead."""
LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries of one message."""
ANSWER_SECONDS = 300.0
"""Until a platform that does not answer counts as away: the longest that a large file may take on its way."""
COPY_SECONDS = 90.0
"""For a copy of a file that the network can show; then the file itself goes."""
SIGN_SECONDS = 3.0
"""A sign that takes longer is given up; it is a courtesy, and what comes after it waits."""
AWAY_SECONDS = 1.0
"""Between two tries to reach the store."""
LOOK_SECONDS = 5.0
"""How often all that waits is read, besides what the store hints at: a commit may become visible out of order."""
IDLE_SECONDS = 30.0
"""So long a conversation keeps its task when there is nothing to send."""
PAGE = 100
ROWS = 1_000
"""Messages that are kept as they were read; of a longer queue they are read again when their turn comes."""
CLOSED_CARDS = 1_000
"""Remembered, so that a late edit does not bring progress back over a result."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """About a message that failed. since: the first time. at: the last time. proofs: failures before which the network showed life."""

    since: float
    at: float
    proofs: int = 0


@dataclass(slots=True)
class Lane:
    """One conversation's queue. Messages go before edits; of a card's edits only the latest stays."""

    messages: deque[str] = field(default_factory=deque)
    edits: dict[str, tuple[Receipt, Outgoing]] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    send_after: float = 0.0
    edit_after: float = 0.0
    may_edit: bool = False
    """The next edit has its moment, of those that the account has in all."""
    doubt: Doubt | None = None
    """About the first message."""
    idle_since: float = 0.0
    is_over: bool = False
    """Nothing was to be done for a while: its task ends unless something came just now."""

    @property
    def is_idle(self) -> bool:
        return not (self.messages or self.edits)


@dataclass(frozen=True, slots=True)
class Begun:
    """A message that is stored as *sending*, until it is durable and in its lane. at: when, on the monotonic clock."""

    conversation: str
    at: float


class Line:
    """`check` proves within a transaction that this process still holds the account; it raises Lost when not."""

    def __init__(
        self,
        store: Store,
        platform: Platform,
        check: Callable[[Tx], Awaitable[object]],
        clock: Clock,
        renditions: Renditions | None = None,
    ) -> None:
        self._store = store
        self._platform = platform
        self._check = check
        self._clock = clock
        self._renditions = renditions
        self._lanes: dict[str, Lane] = {}
        self._queued: set[str] = set()
        self._rows: dict[str, Message] = {}
        self._begun: OrderedDict[str, Begun] = OrderedDict()
        self._is_behind = False
        self._pace = Pace()
        self._alive_at = float("-inf")
        self._tasks: asyncio.TaskGroup
        self._closed: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Send until cancelled. Raises Lost when the account belongs to another process."""
        changes = self._store.changes(MESSAGES, inserted=True)
        newest, look_at = "", self._clock.monotonic()
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                fresh, is_all = changes.fresh()
                self._is_behind |= not is_all
                for row in cast(Sequence[Message], fresh):
                    if row.account == self._platform.name and (row.state == "pending" or row.key in self._begun):
                        self._queue(row)
                is_behind, self._is_behind = self._is_behind, False
                try:
                    if self._clock.monotonic() >= look_at:
                        # Everything: what another holder left, and what was committed out of order.
                        await self._load("sending", "")
                        newest, look_at = await self._load("pending", ""), self._clock.monotonic() + LOOK_SECONDS
                        self._end_idle()
                    elif is_behind:
                        newest = await self._load("pending", min(newest, moment_of(self._clock.now())))
                except (Unavailable, OperatorMust) as away:
                    self._is_behind = True
                    log.warning("store away", account=self._platform.name, error=str(away))
                    await self._clock.sleep(AWAY_SECONDS)
                await changes.wait(LOOK_SECONDS)

    async def _load(self, state: str, place: str) -> str:
        """Queue what stands at this place or after it. The moment from which on there may be more."""
        where = {"account": self._platform.name, "state": state}
        left = ""
        while True:
            rows = await self._store.find(MESSAGES, where, order="place", since=place, limit=PAGE)
            for row in rows:
                # What was begun here just now comes once it is durable, and what stands behind it after it.
                if self._follows_begun(row):
                    left = left or row.place
                    self._is_behind |= row.state == "pending"
                else:
                    self._queue(row)
            before, place = place, rows[-1].place if rows else place
            if len(rows) < PAGE or place == before:
                return (left or place).partition(".")[0]  # a page of one place: the rest is found when these are sent

    def _follows_begun(self, row: Message) -> bool:
        """Whether it is one that was begun here and is not in its lane yet, or such a one is in its conversation."""
        late = self._clock.monotonic() - LOOK_SECONDS
        waiting = [
            key for key, begun in self._begun.items() if begun.conversation == row.conversation and begun.at > late
        ]
        return any(key not in self._queued for key in waiting) and row.key not in self._queued

    def _queue(self, row: Message) -> None:
        if row.key not in self._queued:
            self._queued.add(row.key)
            if len(self._rows) < ROWS:
                self._rows[row.key] = row
            lane = self._lane(row.conversation)
            lane.messages.append(row.key)
            lane.woken.set()

    async def begin(self, tx: Tx, row: Message, before: Message | None) -> Message:
        """The new message as *sending*, if it can go out as soon as it is stored: no rate holds it up, no copy is to be made.

        before: the one before it in its conversation, which is over: what stands behind another one was never tried.
        """
        try:
            can = self._can(row.chat)
        except Trouble:
            return row
        is_next = before is None or before.state in ("sent", "failed")
        needs_copies = any(target_of(media, can) for media in row.reply.media)
        if not is_next or can.rate.limits_messages or needs_copies:
            return row
        try:
            await self._check(tx)
        except Lost:
            return row
        await self._number(tx, row)
        self._begun[row.key] = Begun(row.conversation, self._clock.monotonic())
        while len(self._begun) > ROWS:
            self._begun.popitem(last=False)
        return replace(row, state="sending")

    def heard(self) -> None:
        """Something came from the network: it is there."""
        self._alive_at = self._clock.monotonic()

    def _lane(self, conversation: str) -> Lane:
        """Its lane, served by a task of its own as long as there is something to do."""
        if conversation not in self._lanes:
            self._lanes[conversation] = Lane()
            self._tasks.create_task(self._serve(conversation), name=f"lane {conversation}")
        return self._lanes[conversation]

    def _end_idle(self) -> None:
        """A timer for each lane and message would cost more than the message."""
        longest = self._clock.monotonic() - IDLE_SECONDS
        for lane in self._lanes.values():
            if lane.is_idle and lane.idle_since <= longest:
                lane.is_over = True
                lane.woken.set()

    def show(self, card: Message, reply: Reply) -> None:
        """Make a card look like this, when the conversation's budget allows; a later call takes this one's place.

        card: a message that was sent. Media are left out where the network cannot change them.
        """
        if card.key in self._closed:
            return
        try:
            shown = reply if self._can(card.chat).edit_media else replace(reply, media=())
            parts = self._fitted(card, shown)
        except (Trouble, Refused) as error:
            log.info("progress not shown", account=self._platform.name, message=card.key, error=str(error))
            return
        if len(parts) == 1:
            lane = self._lane(card.conversation)
            lane.edits[card.key] = (card.receipts[0], parts[0])
            lane.woken.set()

    def _close_card(self, card: str, lane: Lane) -> None:
        self._closed[card] = None
        lane.edits.pop(card, None)
        while len(self._closed) > CLOSED_CARDS:
            self._closed.popitem(last=False)

    async def _serve(self, conversation: str) -> None:
        lane = self._lanes[conversation]
        try:
            while True:
                lane.woken.clear()
                try:
                    if lane.messages:
                        await guarded(self._deliver_first(lane))
                    elif lane.edits:
                        await guarded(self._edit_one(lane))
                    elif lane.is_over:
                        return
                    else:
                        lane.idle_since = self._clock.monotonic()
                        lane.may_edit = False
                        await lane.woken.wait()
                except (Unavailable, OperatorMust) as away:
                    log.warning("store away", account=self._platform.name, error=str(away))
                    await self._clock.sleep(AWAY_SECONDS)
        finally:
            del self._lanes[conversation]

    async def _deliver_first(self, lane: Lane) -> None:
        """Raises Unavailable or OperatorMust of the store; then, and after a pause that a network asks for, it is done again."""
        key = lane.messages[0]
        wait = lane.send_after - self._clock.monotonic()
        if wait > 0:
            await self._clock.sleep(wait)
        try:
            await self._deliver(key, lane)
        except Retry as later:
            if not await self._gives_up(key, lane, later):
                lane.send_after = self._clock.monotonic() + later.after
                await self._write(key, state="pending", due=self._clock.now() + timedelta(seconds=later.after))
                return
        except Trouble as trouble:
            log.warning("send failed", account=self._platform.name, message=key, error=str(trouble))
            if (pause := await self._unsure(key, lane, trouble)) is not None:
                lane.send_after = self._clock.monotonic() + pause
                return
        except (Refused, Gone) as no:
            await self._fail(key, no)
        lane.messages.popleft()
        lane.doubt = None
        self._queued.discard(key)

    async def _deliver(self, key: str, lane: Lane) -> None:
        """Mark it *sending* before anything is sent. What was *sending* already is looked up first."""
        row = self._rows.pop(key, None) or await self._store.get(MESSAGES, key)
        if row is None or row.state in ("sent", "failed"):
            return
        wait = (row.due - self._clock.now()).total_seconds()
        if wait > 0:
            await self._clock.sleep(wait)
        await self._turn(row)
        is_begun = self._begun.pop(key, None) is not None
        is_unsure = row.state == "sending" and not is_begun
        if row.state == "pending":
            try:
                row = await self._begin(await self._with_copies(row))
            except Stale:  # it was read a while ago; what it is now decides
                await self._deliver(key, lane)
                return
        if row.replaces:
            self._close_card(row.replaces, lane)
        if not (row.replaces and await self._take_place(row)):
            await self._send_rest(await self._look_up(row) if is_unsure else row)
        if row.sign:
            await self.signal(row.chat, row.sign, row.answers)

    async def _turn(self, row: Message) -> None:
        """Wait until the network's rate allows this message, or its next part, in its chat. An album counts as its files."""
        rate, lane = self._can(row.chat).rate, self._lanes[row.conversation]
        now = self._clock.monotonic()
        if rate.limits_messages:
            parts = self._fit(row)
            messages = max(1, len(parts[row.part].media)) if row.part < len(parts) else 1
            at = self._pace.take(rate, row.chat.chat, max(now, lane.send_after), messages)
        else:
            at = max(now, lane.send_after)
        if at > now:
            await self._clock.sleep(at - now)

    async def _look_up(self, row: Message) -> Message:
        """The row without the part that nobody knew about, if that arrived; otherwise the part is to be sent."""
        parts = self._fit(row)
        platform = self._platform
        if row.part >= len(parts):
            return row
        if isinstance(platform, Finds):
            found = await asked(platform.find, parts[row.part])
            if isinstance(found, Receipt):
                return await self._sent_part(row, found, len(parts))
            if found == "absent":
                return row
        if row.repeated == row.part:
            raise Refused(words.MAYBE_SENT)
        log.warning("sent once more: nobody knows whether it arrived", account=row.account, message=row.key)
        return await self._write(row.key, again=True, repeated=row.part)

    def _can(self, chat: ChatRef) -> Capabilities:
        """Raises Trouble: a platform's code may raise anything, and may do better the next time."""
        try:
            return self._platform.capabilities(chat)
        except Exception as error:
            raise Trouble(error) from error

    def _fit(self, row: Message) -> tuple[Outgoing, ...]:
        """Raises Refused for what can never be sent, and Trouble."""
        reply = with_copies(row.reply, row.copies) if row.copies else row.reply
        return self._fitted(row, replace(reply, text=words.sent_again(reply.text)) if row.again else reply)

    async def _with_copies(self, row: Message) -> Message:
        """With a copy of each file that the network can show only so. It is stored with the row, so that no try differs."""
        if self._renditions is None or row.part:
            return row
        can = self._can(row.chat)
        wanted = {media.blob.sha256: (media.blob, target_of(media, can)) for media in row.reply.media}
        made = {key: await self._copy(self._renditions, blob, to) for key, (blob, to) in wanted.items() if to}
        return replace(row, copies={key: copy for key, copy in made.items() if copy}) if made else row

    async def _copy(self, renditions: Renditions, blob: Blob, target: Target) -> Copy | None:
        """None where there is none, whatever the reason: then the file goes as one. Raises Unavailable of the store."""
        try:
            async with asyncio.timeout(COPY_SECONDS):
                return await renditions.of(blob, target)
        except Unavailable:
            raise
        except Exception:  # codecs and a full disk raise anything, and the messages behind this one must go on
            log.exception("no copy", account=self._platform.name, sha256=blob.sha256)
            return None

    def _fitted(self, row: Message, reply: Reply) -> tuple[Outgoing, ...]:
        can = self._can(row.chat)
        try:
            return fit(
                reply, row.key, row.chat, can, native=row.native, reply_to=row.reply_to, private_to=row.private_to
            )
        except Exception as error:  # a dialect is a platform's code and may raise anything; the rest must go on
            log.exception("message cannot be fitted", account=row.account, message=row.key)
            raise Refused(f"it cannot be written for this network: {error!r}") from error

    async def _send_rest(self, row: Message) -> None:
        parts = self._fit(row)
        for n, part in enumerate(parts[row.part :]):
            if n:
                await self._turn(row)
            receipt = await self._asked(self._platform.send, part)
            row = await self._sent_part(row, receipt, len(parts))
        if row.state != "sent":  # nothing to show, or fewer parts than before a restart
            await self._write(row.key, state="sent")
        if row.replaces:
            await self._tidy_card(row.replaces)

    async def _take_place(self, row: Message) -> bool:
        """Turn the card into its final state, where the network can do that in one edit."""
        parts = self._fit(row)
        card = await self._store.get(MESSAGES, row.replaces)
        can = self._can(row.chat)
        platform = self._platform
        if (
            not isinstance(platform, Edits)
            or row.tries >= EDIT_TRIES
            or card is None
            or len(parts) != 1
            or len(card.receipts) != 1
            or not card.receipts[0].editable
            or not (can.edit_media if parts[0].media else can.edit_text)
            or (card.reply.live and not parts[0].media and begins_as_media(can))  # words under a blank picture
        ):
            return False
        try:
            receipt = await self._asked(platform.edit, card.receipts[0], parts[0])
        except (Refused, Gone):
            return False
        # The card's row gives the native message's id to the row that it now shows.
        await self._sent_part(row, receipt, 1, taken_from=card.key)
        return True

    async def _tidy_card(self, card_key: str) -> None:
        """The result stands below: the card goes, or says so. Cosmetic, so a failure is only logged."""
        card = await self._store.get(MESSAGES, card_key)
        platform = self._platform
        for receipt in card.receipts if card else ():
            try:
                if isinstance(platform, Deletes) and receipt.deletable:
                    await guarded(platform.delete(receipt))
                elif card and isinstance(platform, Edits) and receipt.editable:
                    (below,) = self._fit(replace(card, reply=Reply(text=words.DONE_BELOW)))
                    await guarded(platform.edit(receipt, below))
            except Exception as error:  # noqa: BLE001 - a platform's code may raise anything; the result is delivered already
                log.info("card left behind", account=self._platform.name, message=card_key, error=str(error))

    async def _sent_part(self, row: Message, receipt: Receipt, parts: int, taken_from: str = "") -> Message:
        """Keep the receipt of what is visible now, however long the store is away."""

        async def work(tx: Tx) -> Message:
            await self._check(tx)
            if taken_from and (card := await tx.get(MESSAGES, taken_from)):
                await tx.replace(MESSAGES, replace(card, shown=()))
            try:
                return await _with_receipt(tx, row, receipt, parts)
            except Stale:
                return await _with_receipt(tx, await _present(tx, row.key), receipt, parts)

        while True:
            try:
                # After a power cut it is looked up, or sent once more and marked so, as if the cut had come before it.
                return await self._store.atomically(work, soon=True)
            except (Unavailable, OperatorMust) as away:
                log.warning("receipt waits for the store", account=row.account, message=row.key, error=str(away))
                await self._clock.sleep(AWAY_SECONDS)

    async def _begin(self, row: Message) -> Message:
        """The row as one that is being sent. Its numbers are good from now on: people may answer before the network does.

        Raises Stale for a row that changed since it was read.
        """

        async def work(tx: Tx) -> Message:
            await self._check(tx)
            begun = await tx.replace(MESSAGES, replace(row, state="sending"))
            await self._number(tx, begun)
            return begun

        return await self._store.atomically(work)

    async def _number(self, tx: Tx, row: Message) -> None:
        """Where buttons are numbers, remember what each of them stands for."""
        payloads = tuple(payload for _, payload in numbered(row.reply, self._can(row.chat)))
        if not payloads:
            return
        menu = Numbering(key=row.conversation, payloads=payloads, message=row.key)
        old = await tx.get(NUMBERINGS, row.conversation)
        if old is None:
            await tx.insert(NUMBERINGS, menu)
        else:
            await tx.replace(NUMBERINGS, replace(menu, version=old.version))

    async def _edit_one(self, lane: Lane) -> None:
        wait = lane.edit_after - self._clock.monotonic()
        if wait > 0:
            await self._pause(lane, wait)
            return
        if not lane.may_edit:
            lane.may_edit = True
            lane.edit_after = self._edit_moment(lane)
            return
        await self._store.atomically(self._check)
        if not lane.edits:
            return
        card, (receipt, message) = next(iter(lane.edits.items()))
        del lane.edits[card]
        lane.may_edit = False
        pause = AWAY_SECONDS
        try:
            pause = self._can(message.chat).rate.edit_seconds
            await self._asked(cast(Edits, self._platform).edit, receipt, message)
        except Retry as later:
            lane.edits.setdefault(card, (receipt, message))
            pause = later.after
        except Exception as error:  # noqa: BLE001 - a platform's code may raise anything; a lost progress edit is no loss
            log.info("progress not shown", account=self._platform.name, message=card, error=str(error))
        lane.edit_after = self._clock.monotonic() + pause

    def _edit_moment(self, lane: Lane) -> float:
        """When its next edit may go out, on the monotonic clock."""
        _, message = next(iter(lane.edits.values()))
        now = self._clock.monotonic()
        try:
            return self._pace.edit(self._can(message.chat).rate, now)
        except Trouble:
            return now

    async def _asked(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `asked`; an answer shows that the network is there."""
        try:
            answer = await asked(call, *args, **kwargs)
        except Trouble as trouble:
            trouble.was_not_sent = isinstance(trouble.__cause__, Unavailable)
            raise
        self.heard()
        return answer

    async def _pause(self, lane: Lane, seconds: float) -> None:
        """Until then, or until something moves in the lane: a message does not wait for an edit's budget."""
        timer = self._clock.call_later(seconds, lane.woken.set)
        try:
            await lane.woken.wait()
        finally:
            timer.cancel()

    async def _fail(self, key: str, error: Exception) -> None:
        """It is never sent. Its conversation is told, unless that is gone."""
        why = str(error)
        log.warning("message failed", account=self._platform.name, message=key, error=why)

        async def work(tx: Tx) -> None:
            await self._check(tx)
            row = await tx.get(MESSAGES, key)
            if row is None:
                return
            await tx.replace(MESSAGES, replace(row, state="failed", words=why))
            if not row.instead_of and (row.job or not (isinstance(error, Gone) or why == words.MAYBE_SENT)):
                await post_instead(tx, row, words.not_sent(why, row.job))

        await self._store.atomically(work)

    async def _unsure(self, key: str, lane: Lane, trouble: "Trouble") -> float | None:
        """Seconds to wait before the next try; None when there is none."""
        row = await self._store.get(MESSAGES, key)
        if row is None:
            return None
        if row.tries + 1 >= TRIES and not trouble.is_passing:
            await self._fail(key, trouble)
            return None
        if await self._gives_up(key, lane, trouble):
            return None
        await self._write(key, tries=row.tries + 1, state="pending" if trouble.was_not_sent else row.state)
        return min(LONGEST_PAUSE_SECONDS, 2.0 ** min(row.tries, 10))

    async def _gives_up(self, key: str, lane: Lane, error: Exception) -> bool:
        """Whether it has failed for so long, or so surely by its own fault, that it is failed for good."""
        now, before = self._clock.monotonic(), lane.doubt
        # A network that asks to wait is there, and says nothing against the message.
        is_proof = before is not None and isinstance(error, Trouble) and self._alive_at > before.at
        doubt = Doubt(before.since, now, before.proofs + is_proof) if before else Doubt(now, now)
        lane.doubt = doubt
        if now - doubt.since < STUCK_SECONDS or (doubt.proofs < PROOFS and not await self._is_overdue(key)):
            return False
        await self._fail(key, TimeoutError(str(error)))
        return True

    async def _is_overdue(self, key: str) -> bool:
        row = await self._store.get(MESSAGES, key)
        return row is not None and (self._clock.now() - row.created).total_seconds() >= DELIVERY_SECONDS

    async def _write(self, key: str, **changes: object) -> Message:
        """Raises Gone when the row was deleted."""

        async def work(tx: Tx) -> Message:
            await self._check(tx)
            row = await _present(tx, key)
            return await tx.replace(MESSAGES, replace(row, **changes))  # type: ignore[arg-type] # fields by name

        return await self._store.atomically(work)

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        """A quick sign, where the network has such. Never raises."""
        if isinstance(self._platform, Signals):
            try:
                async with asyncio.timeout(SIGN_SECONDS):
                    await guarded(self._platform.signal(chat, what, message_id))
            except Exception as error:  # noqa: BLE001 - a platform's code may raise anything; a sign is a courtesy
                log.debug("no sign", account=self._platform.name, error=repr(error))


class Trouble(Exception):
    """A platform's call failed. is_passing: the network, not the code, is to blame. was_not_sent: it says so; else nobody knows."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.is_passing = isinstance(error, Uncertain | Unavailable | OSError)
        self.was_not_sent = False


async def asked(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """A platform's answer. Raises Retry, Refused, Gone, or Trouble for anything else, so that it is not taken for the store's."""
    try:
        return await apart(call(*args, **kwargs), seconds=ANSWER_SECONDS)
    except (Retry, Refused, Gone):
        raise
    except OperatorMust as must:
        raise Refused(str(must)) from must
    except Exception as error:  # a platform's code may raise anything; whether it was sent is unknown
        raise Trouble(error) from error


async def _with_receipt(tx: Tx, row: Message, receipt: Receipt, parts: int) -> Message:
    """Raises Stale for a row that changed since it was read."""
    is_last = row.part + 1 >= parts
    receipts = (*row.receipts, receipt)
    shown = (*row.shown, *[f"{row.conversation}|{id_}" for id_ in receipt.ids])
    state: Literal["sent", "sending"] = "sent" if is_last else "sending"
    sent = replace(row, part=row.part + 1, receipts=receipts, state=state, shown=shown)
    try:
        return await tx.replace(MESSAGES, sent)
    except Exists:  # another row shows this native message already
        return await tx.replace(MESSAGES, replace(sent, shown=row.shown))


async def _present(tx: Tx, key: str) -> Message:
    row = await tx.get(MESSAGES, key)
    if row is None:
        raise Gone(f"message {key} was deleted")
    return row
