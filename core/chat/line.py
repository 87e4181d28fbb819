"""An account's outbound line: one queue a conversation orders messages and card edits alike.

Only the holder of the account's lease runs it; the lease's fence is checked in every write.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, cast

from ..clock import Clock
from ..errors import Exists, Gone, Lost, OperatorMust, Refused, Retry, Unavailable
from ..log import get_logger
from ..storage import Store, Tx
from . import words
from .buttons import NUMBERINGS, Numbering
from .capabilities import Capabilities
from .fit import fit, numbered
from .messages import ChatRef, Outgoing, Receipt, Reply
from .outbox import MESSAGES, Message
from .platform import Deletes, Edits, Finds, Platform, Signals

log = get_logger(__name__)

TRIES = 8
"""Sends of one message that fail without a reason that is final."""
IDLE_SECONDS = 30.0
CLOSED_CARDS = 1_000


@dataclass(slots=True)
class Lane:
    """One conversation's queue. Messages go before edits; of a card's edits only the latest stays."""

    messages: deque[str] = field(default_factory=deque)
    edits: dict[str, tuple[Receipt, Outgoing]] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    edit_after: float = 0.0


class Line:
    """`check` proves within a transaction that this process still holds the account; it raises Lost when not."""

    def __init__(
        self, store: Store, platform: Platform, check: Callable[[Tx], Awaitable[object]], clock: Clock
    ) -> None:
        self._store = store
        self._platform = platform
        self._check = check
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._queued: set[str] = set()
        self._tasks: asyncio.TaskGroup
        self._closed: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Send until cancelled. Raises Lost when the account belongs to another process."""
        changes = self._store.changes(MESSAGES)
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                for state in ("sending", "pending"):
                    await self._load(state)
                await changes.wait(5.0)

    async def _load(self, state: str) -> None:
        place = ""
        while True:
            where = {"account": self._platform.name, "state": state}
            rows = await self._store.find(MESSAGES, where, order="place", since=place, limit=200)
            for row in rows:
                if row.key not in self._queued:
                    self._queued.add(row.key)
                    lane = self._lane(row.conversation)
                    lane.messages.append(row.key)
                    lane.woken.set()
            if len(rows) < 200:
                return
            place = rows[-1].place

    def _lane(self, conversation: str) -> Lane:
        """Its lane, served by a task of its own as long as there is something to do."""
        if conversation not in self._lanes:
            self._lanes[conversation] = Lane()
            self._tasks.create_task(self._serve(conversation), name=f"lane {conversation}")
        return self._lanes[conversation]

    def show(self, conversation: str, card: str, receipt: Receipt, message: Outgoing) -> None:
        """Make a card look like this, when the conversation's budget allows; a later call takes this one's place."""
        if card not in self._closed:
            lane = self._lane(conversation)
            lane.edits[card] = (receipt, message)
            lane.woken.set()

    def capabilities(self, chat: ChatRef) -> Capabilities:
        return self._platform.capabilities(chat)

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
                if lane.messages:
                    await self._deliver_first(lane)
                elif lane.edits:
                    await self._edit_one(lane)
                elif not await self._woken(lane):
                    return
        finally:
            del self._lanes[conversation]

    async def _woken(self, lane: Lane) -> bool:
        try:
            await asyncio.wait_for(lane.woken.wait(), IDLE_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _deliver_first(self, lane: Lane) -> None:
        key = lane.messages[0]
        try:
            row = await self._begin(key)
            if row is not None:
                if row.replaces:
                    self._close_card(row.replaces, lane)
                await self._deliver(row)
        except Retry as later:
            await self._postpone(key, later.after, "pending")
            await self._clock.sleep(later.after)
            return
        except (Refused, Gone) as no:
            await self._fail(key, str(no))
        except (Lost, asyncio.CancelledError):
            raise
        except Unavailable:
            await self._clock.sleep(1.0)
            return
        except Exception as error:  # noqa: BLE001 - a platform's send may raise anything; whether it was sent is unknown
            log.warning("send failed", account=self._platform.name, message=key, error=str(error))
            pause = await self._unsure(key, error)
            await self._clock.sleep(pause)
            if pause:
                return
        lane.messages.popleft()
        self._queued.discard(key)

    async def _begin(self, key: str) -> Message | None:
        """Mark it *sending* before anything is sent. What was *sending* already is looked up first."""
        row = await self._store.get(MESSAGES, key)
        if row is None or row.state in ("sent", "failed"):
            return None
        wait = (row.due - self._clock.now()).total_seconds()
        if wait > 0:
            await self._clock.sleep(wait)
        if row.state == "sending":
            return await self._look_up(row)
        return await self._write(key, state="sending", tries=row.tries + 1)

    async def _look_up(self, row: Message) -> Message | None:
        parts = self._fit(row)
        platform = self._platform
        if row.replaces or row.part >= len(parts):
            return row  # an edit that is made twice changes nothing
        if isinstance(platform, Finds):
            found = await platform.find(parts[row.part])
            if isinstance(found, Receipt):
                return await self._sent_part(row, found, len(parts))
            if found == "absent":
                return row
        if row.again:
            raise Refused(words.MAYBE_SENT)
        log.warning("sent once more: nobody knows whether it arrived", account=row.account, message=row.key)
        return await self._write(row.key, again=True)

    def _fit(self, row: Message) -> tuple[Outgoing, ...]:
        reply = replace(row.reply, text=words.sent_again(row.reply.text)) if row.again else row.reply
        return fit(
            reply,
            row.key,
            row.chat,
            self._platform.capabilities(row.chat),
            native=row.native,
            reply_to=row.reply_to,
            private_to=row.private_to,
        )

    async def _deliver(self, row: Message) -> None:
        parts = self._fit(row)
        if row.replaces and await self._take_place(row, parts):
            return
        if row.state == "sent":
            return
        for part in parts[row.part :]:
            receipt = await self._platform.send(part)
            row = await self._sent_part(row, receipt, len(parts))
        if row.state != "sent":  # nothing to show, or fewer parts than before a restart
            await self._write(row.key, state="sent")
        if row.replaces:
            await self._tidy_card(row.replaces)

    async def _take_place(self, row: Message, parts: tuple[Outgoing, ...]) -> bool:
        """Turn the card into its final state, where the network can do that in one edit."""
        card = await self._store.get(MESSAGES, row.replaces)
        can = self._platform.capabilities(row.chat)
        platform = self._platform
        if (
            not isinstance(platform, Edits)
            or card is None
            or len(parts) != 1
            or len(card.receipts) != 1
            or not card.receipts[0].editable
            or not (can.edit_media if parts[0].media else can.edit_text)
        ):
            return False
        try:
            receipt = await platform.edit(card.receipts[0], parts[0])
        except (Refused, Gone):
            return False
        # The card's row gives the native message's id to the row that it now shows.
        await self._sent_part(row, receipt, 1, taken_from=card.key)
        return True

    async def _tidy_card(self, card_key: str) -> None:
        """The result stands below: the card goes, or says so. Cosmetic, so a failure is only logged."""
        card = await self._store.get(MESSAGES, card_key)
        if card is None or not card.receipts:
            return
        platform, receipt = self._platform, card.receipts[0]
        try:
            if isinstance(platform, Deletes) and receipt.deletable:
                await platform.delete(receipt)
            elif isinstance(platform, Edits) and receipt.editable:
                parts = self._fit(replace(card, reply=Reply(text=words.DONE_BELOW)))
                await platform.edit(receipt, parts[0])
        except Exception as error:  # noqa: BLE001 - a platform's code may raise anything; the result is delivered already
            log.info("card left behind", account=card.account, message=card_key, error=str(error))

    async def _sent_part(self, row: Message, receipt: Receipt, parts: int, taken_from: str = "") -> Message:
        async def work(tx: Tx) -> Message:
            await self._check(tx)
            if taken_from and (card := await tx.get(MESSAGES, taken_from)):
                await tx.replace(MESSAGES, replace(card, shown=()))
            current = await tx.get(MESSAGES, row.key)
            if current is None:
                raise Gone(f"message {row.key} was deleted")
            done = current.part + 1 >= parts
            if done:
                await self._number(tx, current)
            return await tx.replace(
                MESSAGES,
                replace(
                    current,
                    part=current.part + 1,
                    receipts=(*current.receipts, receipt),
                    shown=(*current.shown, *(f"{current.conversation}|{id_}" for id_ in receipt.ids)),
                    state="sent" if done else "sending",
                ),
            )

        try:
            return await self._store.atomically(work)
        except Exists:  # another row shows this native message already: the id is the network's, the receipt is kept
            return await self._write(row.key, state="sent", part=row.part + 1, receipts=(*row.receipts, receipt))

    async def _number(self, tx: Tx, row: Message) -> None:
        """Where buttons are numbers, remember what each of them stands for."""
        payloads = tuple(payload for _, payload in numbered(row.reply, self._platform.capabilities(row.chat)))
        if not payloads:
            return
        old = await tx.get(NUMBERINGS, row.conversation)
        if old is None:
            await tx.insert(NUMBERINGS, Numbering(key=row.conversation, payloads=payloads))
        else:
            await tx.replace(NUMBERINGS, replace(old, payloads=payloads))

    async def _edit_one(self, lane: Lane) -> None:
        wait = lane.edit_after - self._clock.monotonic()
        if wait > 0:
            await self._pause(lane, wait)
            return
        card, (receipt, message) = next(iter(lane.edits.items()))
        del lane.edits[card]
        pause = self._platform.capabilities(message.chat).rate.edit_seconds
        try:
            await cast(Edits, self._platform).edit(receipt, message)
        except Retry as later:
            lane.edits.setdefault(card, (receipt, message))
            pause = later.after
        except Exception as error:  # noqa: BLE001 - a platform's code may raise anything; a lost progress edit is no loss
            log.info("progress not shown", account=self._platform.name, message=card, error=str(error))
        lane.edit_after = self._clock.monotonic() + pause

    async def _pause(self, lane: Lane, seconds: float) -> None:
        """Until then, or until something moves in the lane: a message does not wait for an edit's budget."""
        waits = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(lane.woken.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _postpone(self, key: str, seconds: float, state: Literal["pending", "sending"]) -> None:
        await self._write(key, state=state, due=self._clock.now() + timedelta(seconds=seconds))

    async def _fail(self, key: str, why: str) -> None:
        log.warning("message failed", account=self._platform.name, message=key, error=why)
        await self._write(key, state="failed", words=why)

    async def _unsure(self, key: str, error: Exception) -> float:
        """Seconds to wait before the next try; 0 when there is none."""
        row = await self._store.get(MESSAGES, key)
        if isinstance(error, OperatorMust) or row is None or row.tries >= TRIES:
            await self._fail(key, str(error))
            return 0.0
        pause = min(60.0, 2.0 ** (row.tries - 1))
        await self._write(key, tries=row.tries + 1)
        return pause

    async def _write(self, key: str, **changes: object) -> Message:
        async def work(tx: Tx) -> Message:
            await self._check(tx)
            row = await tx.get(MESSAGES, key)
            if row is None:
                raise Gone(f"message {key} was deleted")
            return await tx.replace(MESSAGES, replace(row, **changes))  # type: ignore[arg-type] # fields by name

        return await self._store.atomically(work)

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        """A quick sign, where the network has such. Never raises."""
        if isinstance(self._platform, Signals):
            try:
                await self._platform.signal(chat, what, message_id)
            except Exception as error:  # noqa: BLE001 - a platform's code may raise anything; a sign is a courtesy
                log.debug("no sign", account=self._platform.name, error=str(error))
