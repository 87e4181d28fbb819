"""Progress as people see it: the card of each open order, redrawn while its jobs move."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..chat.buttons import OnJob
from ..chat.line import Line
from ..chat.messages import Button, Media, Reply
from ..chat.outbox import MESSAGES, Message
from ..clock import Clock
from ..errors import OperatorMust, Unavailable
from ..media.blob import Blob
from ..storage import Scalar, Store
from . import words
from .jobs import JOBS, ORDERS, Job
from .queue import Line as QueueLine
from .queue import Queue, usual_seconds

TICK_SECONDS = 0.5
"""How often cards are looked at; a network's own budget for edits is the line's affair."""
LOOK_SECONDS = 5.0
"""How often all open jobs are read though no hint came."""
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
        self._cards: dict[str, Message] = {}
        self._busy_at: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        changes = self._store.changes(JOBS, MESSAGES)
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
        known = {job.key for job in jobs}
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if key in known}
        self._cards = {key: card for key, card in self._cards.items() if key in known}
        if not jobs:
            self._busy_at.clear()
            return False
        line = await self._queue.now()
        for job in jobs:
            await self._draw(job, line)
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

    async def _draw(self, job: Job, line: QueueLine) -> None:
        card = self._cards.get(job.key) or await self._card_of(job)
        if card is None:
            return
        self._cards[job.key] = card
        now = self._clock.monotonic()
        if now - self._busy_at.get(card.conversation, -BUSY_SECONDS) >= BUSY_SECONDS:
            self._busy_at[card.conversation] = now
            await self._line.signal(card.chat, "busy")
        if card.receipts[0].editable:
            await self._edit(job, card, await self._text(job, line))

    async def _card_of(self, job: Job) -> Message | None:
        """The message to redraw for this job, once it is sent; it does not change any more while the job is open."""
        order = await self._store.get(ORDERS, job.order)
        if order is None or order.jobs[0] != job.key:
            return None
        card = await self._store.get(MESSAGES, order.card)
        return card if card is not None and card.state == "sent" and len(card.receipts) == 1 else None

    async def _text(self, job: Job, line: QueueLine) -> str:
        if job.cancel:
            return f"{words.card_waiting(job.title)}\n{words.CANCELLING}"
        if job.state == "storing":
            return words.card_storing(job.title)
        away = job.seen is not None and job.seen.away
        left = None if away else line.seconds_left(job, await usual_seconds(self._store, job.workflow))
        if job.state == "running" and job.seen:
            title = words.AWAY if away else job.seen.title
            return words.card_running(job.title, job.seen.fraction, title, left)
        return words.card_waiting(job.title, line.place(job) or None, left, away=away)

    async def _edit(self, job: Job, card: Message, text: str) -> None:
        preview = self._previews.get(job.key, b"")
        look = Drawn(text=text, preview=hash(preview))
        if self._drawn.get(job.key) == look:
            return
        self._drawn[job.key] = look
        cancel = Button(label=words.CANCEL, payload=OnJob(job=job.key, verb="cancel").payload)
        shown = (preview_media(preview),) if preview else ()
        self._line.show(card, Reply(text=text, media=shown, buttons=((cancel,),)))


def preview_media(data: bytes) -> Media:
    """A live preview: its bytes travel with the message and are never stored."""
    mime = {b"\x89P": "image/png", b"RI": "image/webp"}.get(data[:2], "image/jpeg")
    blob = Blob(sha256="", size=len(data), mime=mime, kind="image")
    return Media(blob=blob, name="preview", alt="a preview of the picture so far", inline=data)
