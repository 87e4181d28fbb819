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
from .queue import place_of, places, seconds_left, usual_seconds

TICK_SECONDS = 0.5
BUSY_SECONDS = 4.0
"""Networks forget a busy sign after about five seconds."""


@dataclass(slots=True)
class Drawn:
    """What a card showed last."""

    text: str
    preview: int


class Cards:
    """Redraws the cards of one account on its line. previews: by job, of jobs that run in this process."""

    def __init__(self, store: Store, line: Line, account: str, previews: Mapping[str, bytes], clock: Clock) -> None:
        self._store = store
        self._line = line
        self._account = account
        self._previews = previews
        self._clock = clock
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
                await changes.wait(5.0)

    async def _draw_all(self) -> bool:
        where: dict[str, Scalar] = {"account": self._account, "open": True}
        jobs = await self._store.find(JOBS, where, order="created", limit=500)
        known = {job.key for job in jobs}
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if key in known}
        self._cards = {key: card for key, card in self._cards.items() if key in known}
        if not jobs:
            self._busy_at.clear()
            return False
        waiting = await places(self._store) if any(job.state == "queued" for job in jobs) else {}
        for job in jobs:
            await self._draw(job, waiting)
        return True

    async def _draw(self, job: Job, waiting: Mapping[str, int]) -> None:
        card = self._cards.get(job.key) or await self._card_of(job)
        if card is None:
            return
        self._cards[job.key] = card
        now = self._clock.monotonic()
        if now - self._busy_at.get(card.conversation, -BUSY_SECONDS) >= BUSY_SECONDS:
            self._busy_at[card.conversation] = now
            await self._line.signal(card.chat, "busy")
        if card.receipts[0].editable:
            await self._edit(job, card, await self._text(job, waiting))

    async def _card_of(self, job: Job) -> Message | None:
        """The message to redraw for this job, once it is sent; it does not change any more while the job is open."""
        order = await self._store.get(ORDERS, job.order)
        if order is None or order.jobs[0] != job.key:
            return None
        card = await self._store.get(MESSAGES, order.card)
        return card if card is not None and card.state == "sent" and len(card.receipts) == 1 else None

    async def _text(self, job: Job, waiting: Mapping[str, int]) -> str:
        if job.cancel:
            return f"{words.card_waiting(job.title)}\n{words.CANCELLING}"
        if job.state == "storing":
            return words.card_storing(job.title)
        place = place_of(job, waiting)
        left = seconds_left(job, place, await usual_seconds(self._store, job.workflow))
        if job.state == "running" and job.seen:
            return words.card_running(job.title, job.seen.fraction, job.seen.title, left)
        return words.card_waiting(job.title, place or None, left)

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
