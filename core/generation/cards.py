"""Progress as people see it: the card of each open order, redrawn while its jobs move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

from ..chat.line import Line
from ..chat.messages import Media, Reply
from ..chat.outbox import MESSAGES, Message
from ..clock import Clock
from ..errors import OperatorMust, Unavailable
from ..media.blob import Blob
from ..storage import Scalar, Store
from . import words
from .jobs import JOBS, ORDERS, Job, Order
from .orders import cancel_button
from .queue import Line as QueueLine
from .queue import Queue, usual_seconds

TICK_SECONDS = 0.5
"""How often cards are looked at; a network's own budget for edits is the line's affair."""
LOOK_SECONDS = 5.0
"""How often all open jobs are read though no hint came."""
YOUNG = timedelta(seconds=0.5)
"""A job that is done sooner needs no progress: its card stands as it was sent."""
SHOWN = 500
"""Cards of an account that move at once; the rest stand as they were sent."""
BUSY_SECONDS = 4.0
"""Networks forget a busy sign after about five seconds."""


@dataclass(slots=True)
class Drawn:
    """What a card showed last."""

    text: str
    preview: int


class Cards:
    """Redraws the cards of one account on its line. previews: by job, of jobs that run in this process."""

    def __init__(
        self, store: Store, queue: Queue, line: Line, account: str, previews: Mapping[str, bytes], clock: Clock
    ) -> None:
        self._store = store
        self._queue = queue
        self._line = line
        self._account = account
        self._previews = previews
        self._clock = clock
        self._moves = store.changes(JOBS)
        self._jobs: list[Job] = []
        self._read_again_at = float("-inf")
        self._drawn: dict[str, Drawn] = {}
        self._cards: dict[str, tuple[Order, Message]] = {}
        self._busy_at: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        changes = self._store.changes(JOBS)
        while True:
            try:
                open_jobs = await self._draw_all()
            except (Unavailable, OperatorMust):
                open_jobs = False
            if open_jobs:
                await self._clock.sleep(TICK_SECONDS)
            else:
                await changes.wait(LOOK_SECONDS)

    async def _draw_all(self) -> bool:
        jobs = await self._open_jobs()
        known = {job.order for job in jobs}
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if key in known}
        self._cards = {key: card for key, card in self._cards.items() if key in known}
        if not jobs:
            self._busy_at.clear()
            return False
        line = await self._queue.now()
        before = self._clock.now() - YOUNG
        usual = {workflow: await usual_seconds(self._store, workflow) for workflow in {job.workflow for job in jobs}}
        for order, of_order in groupby(sorted(jobs, key=attrgetter("order")), attrgetter("order")):
            of_it = list(of_order)
            if of_it[0].created <= before:
                await self._draw(order, of_it, line, usual)
        return True

    async def _open_jobs(self) -> list[Job]:
        """Read again when a job moved, not at every tick. A hint may be lost, so also from time to time."""
        now = self._clock.monotonic()
        if await self._moves.wait(0) or now >= self._read_again_at:
            self._read_again_at = now  # should the reading fail
            where: dict[str, Scalar] = {"account": self._account, "open": True}
            self._jobs = await self._store.find(JOBS, where, order="created", limit=SHOWN)
            self._read_again_at = now + LOOK_SECONDS
        return self._jobs

    async def _draw(self, key: str, jobs: Sequence[Job], line: QueueLine, usual: Mapping[str, float | None]) -> None:
        """jobs: those of the order that are open. usual: seconds of a run, by workflow."""
        found = self._cards.get(key) or await self._card_of(key)
        if found is None:
            return
        self._cards[key] = found
        order, card = found
        now = self._clock.monotonic()
        if now - self._busy_at.get(card.conversation, -BUSY_SECONDS) >= BUSY_SECONDS:
            self._busy_at[card.conversation] = now
            await self._line.signal(card.chat, "busy")
        if card.receipts[0].editable:
            several = len(order.jobs) > 1
            seconds = usual[jobs[0].workflow]
            text = _text_of_several(order, jobs, line, seconds) if several else _text(jobs[0], line, seconds)
            preview = next((self._previews[job.key] for job in jobs if self._previews.get(job.key)), b"")
            self._edit(order, card, text, preview)

    async def _card_of(self, key: str) -> tuple[Order, Message] | None:
        """The order and the message to redraw for it, once it is sent; it does not change any more while a job is open."""
        order = await self._store.get(ORDERS, key)
        card = await self._store.get(MESSAGES, order.card) if order else None
        return (order, card) if order and card and card.state == "sent" and len(card.receipts) == 1 else None

    def _edit(self, order: Order, card: Message, text: str, preview: bytes) -> None:
        look = Drawn(text=text, preview=hash(preview))
        if self._drawn.get(order.key) == look:
            return
        self._drawn[order.key] = look
        shown = (preview_media(preview),) if preview else ()
        self._line.show(card, Reply(text=text, media=shown, buttons=((cancel_button(order.jobs),),)))


def _text(job: Job, line: QueueLine, usual: float | None) -> str:
    if job.cancel:
        return f"{words.card_waiting(job.title)}\n{words.CANCELLING}"
    if job.state == "storing":
        return words.card_storing(job.title)
    away = (job.seen is not None and job.seen.away) or (job.state == "queued" and line.away)
    left = None if away else line.seconds_left(job, usual)
    if job.state == "running" and job.seen:
        title = words.AWAY if away else job.seen.title
        return words.card_running(job.title, job.seen.fraction, title, left)
    return words.card_waiting(job.title, line.place(job) or None, left, away=away)


def _text_of_several(order: Order, jobs: Sequence[Job], line: QueueLine, usual: float | None) -> str:
    job = jobs[0]
    if all(each.cancel for each in jobs):
        return f"{words.card_waiting(job.title)}\n{words.CANCELLING}"
    begun = [each for each in jobs if each.state in ("running", "storing")]
    at_work = [1.0 if each.state == "storing" else (each.seen and each.seen.fraction) or 0.0 for each in begun]
    away = line.away if not begun else all(each.seen is not None and each.seen.away for each in begun)
    lefts = [line.seconds_left(each, usual) or 0.0 for each in jobs]
    return words.card_several(
        job.title,
        len(order.jobs) - len(jobs),
        len(order.jobs),
        sum(at_work) if begun else None,
        min(line.place(each) for each in jobs) or None,
        None if away else max(lefts) or None,
        away=away,
    )


def preview_media(data: bytes) -> Media:
    """A live preview: its bytes travel with the message and are never stored."""
    mime = {b"\x89P": "image/png", b"RI": "image/webp"}.get(data[:2], "image/jpeg")
    blob = Blob(sha256="", size=len(data), mime=mime, kind="image")
    return Media(blob=blob, name="preview", alt="a preview of the picture so far", inline=data)
