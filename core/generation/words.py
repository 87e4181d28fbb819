"""Sentences about orders and jobs, as people see them. Markdown; what people typed is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from ..chat.markup import escape
from ..log import redact

if TYPE_CHECKING:
    from .jobs import Job

AGAIN = "🔁 Again"
VARY = "🎲 Vary"
TWEAK = "✏️ Tweak"
ORIGINAL = "📎 Original"
INFO = "ℹ️ Info"
SHOW = "Show"
HIDE = "🙈 Hide"
UP = "👍"
DOWN = "👎"
CANCEL = "Cancel"
CANCELLED = "Cancelled. It cost nothing."
CANCELLING = "Cancelling…"
NO_PICTURE = "That job has no picture that could be enlarged; /show tells what it has."
NO_UPSCALE = "Nothing here can enlarge a picture, because there is no workflow named upscale."
NO_ORIGINAL = "That job has no picture or video to send as a file; /show tells what it has."
TOO_LATE = "It is finished already and on its way to you."
NO_SUCH_JOB = "There is no such job here, or it is not kept any more; /status shows your own."
NO_OUTPUT = "The workflow ran but gave no result that can be shown."
TOO_MANY_IN_ALL = "So much waits here already that nothing more is taken. Please try again in a few minutes."
DRAINING = (
    "Nothing new is taken just now, because the operator is about to change something. Please try again in a while."
)
NO_BACKEND = "Nothing here can run that right now"
WAITS_FOR_MEMORY = "It needs a server with more memory, and that one does not answer right now"
CRASHED = "It stopped twice in a row without getting any further, so I gave up on it."
LOST = "The server lost it several times, so I gave up on it."
QUEUED_TOO_LONG = "It waited too long for a free server."
RAN_TOO_LONG = "It ran longer than is allowed here, so I stopped it."
AWAY = "its server does not answer"
NONE_ANSWERS = "no server answers"
AWAY_TOO_LONG = "Its server stopped answering and did not come back in time."
STOPPED_THERE = "Somebody stopped it at the server."
RESULT_GONE = "The result is not kept any more. Again makes a new one."
OUTPUT_GONE = "The server no longer has the result."
BACKEND_GONE = "The server that had it is not configured here any more."
DISK_FULL = "I cannot store the result right now. The operator has been told."
HIDDEN = "Hidden."
RATED = "Thank you."

BAR_CELLS = 12
PLACES_TOLD = 1_000
"""Nobody who waits behind so many minds which place it is."""


def span(value: float) -> str:
    """A span as people say it: 8 s, 2 min, 1 h 5 min."""
    whole = max(1, round(value))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def bar(fraction: float) -> str:
    """A bar of twelve cells and per cent."""
    full = max(0, min(BAR_CELLS, int(fraction * BAR_CELLS)))
    return f"{'▰' * full}{'▱' * (BAR_CELLS - full)} {min(99, int(fraction * 100))} %"


def _place(place: int | None) -> str:
    if not place:
        return ""
    return f"place {place}" if place <= PLACES_TOLD else f"behind {PLACES_TOLD} others"


def card_waiting(title: str, place: int | None = None, left: float | None = None, *, away: bool = False) -> str:
    """While it waits: its place in the queue (1 is next) and about how long, or that there is no telling."""
    parts = [_place(place), NONE_ANSWERS if away else f"about {span(left)}" if left else ""]
    told = ", ".join(part for part in parts if part)
    return f"**{escape(title)}**\nWaiting" + (f" · {told}" if told else " …")


def card_running(title: str, fraction: float | None, node: str, left: float | None) -> str:
    """While it runs: bar, the node's title and about how long still."""
    lines = [f"**{escape(title)}**", bar(fraction or 0.0)]
    told = " · ".join(part for part in (escape(node), f"about {span(left)} left" if left else "") if part)
    return "\n".join([*lines, told] if told else lines)


def card_storing(title: str) -> str:
    return f"**{escape(title)}**\n{'▰' * BAR_CELLS} Fetching the result …"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a person or of a group, and what to do. who: "You have"."""

    who: str
    way_out: str

    def at_once(self, most: int) -> str:
        running = "one order" if most == 1 else f"{most} orders"
        return f"{self.who} {running} open, which is the most at once. {self.way_out}"

    def a_day(self, most: int, now: datetime) -> str:
        left = span((datetime.combine(now.date() + timedelta(days=1), time(), UTC) - now).total_seconds())
        made = "one order" if most == 1 else f"{most} orders"
        return f"{self.who} made {made} today, which is the most a day. The next day begins in {left}, at 00:00 UTC."


OWN = Limits("You have", "Wait for one, or cancel one with /status.")
SHARED = Limits("The people of this group have", "Wait until one of them ends, or write to me alone.")


def ended_badly(job: "Job", state: str, why: str) -> str:
    """Why there is no result, and that it cost nothing."""
    if state == "cancelled":
        return f"**{escape(job.title)}**\nCancelled. It cost nothing."
    return f"**{escape(job.title)}**\n⚠️ It did not work. {escape(why)}\nNothing was charged. Job `{job.key}`"


def output_unusable(why: str) -> str:
    return f"The server gave a result that cannot be used. {why}"


def without(missing: int, total: int, why: str) -> str:
    """Beside those results that are here."""
    return f"{missing} of {total} results {'is' if missing == 1 else 'are'} missing. {why}"


def upscale(pictures: int, most: int) -> str:
    """The button, which says so when it takes several, or not all."""
    if pictures == 1:
        return "🔍 Upscale"
    return f"🔍 Upscale all {pictures}" if pictures <= most else f"🔍 Upscale the first {most}"


def cannot_vary(title: str) -> str:
    return f"{title} takes no seed, so each run of it would give the same. Tweak changes what goes into it."


def originals(count: int) -> str:
    return "The file as it was made:" if count == 1 else f"The {count} files as they were made:"


def card_several(
    title: str,
    ended: int,
    total: int,
    fraction: float | None = None,
    place: int | None = None,
    left: float | None = None,
    *,
    away: bool = False,
) -> str:
    """The card of an order with several jobs: how many have ended, and about how long until all have.

    fraction: of those that run, added up: 1.5 is one and a half jobs; None while none runs. place: of the next one, till then.
    """
    if not ended and fraction is None:
        return f"{card_waiting(title, place, left, away=away)}\n0 of {total} done"
    rest = AWAY if away else f"about {span(left)} left" if left else ""
    told = " · ".join(part for part in (f"{ended} of {total} done", rest) if part)
    return f"**{escape(title)}**\n{bar((ended + (fraction or 0.0)) / total)}\n{told}"


def order_cancelled(title: str, done: int, total: int) -> str:
    """In the place of the card of an order with several jobs, once its last one was cancelled."""
    if not done:
        return f"**{escape(title)}**\n{CANCELLED}"
    return f"**{escape(title)}**\nCancelled after {done} of {total}. The rest cost nothing."


def already(job: "Job") -> str:
    return f"That job is {job.state} already."


def workflow_gone(title: str) -> str:
    return f"{title} is not on offer any more. /help lists what is."


def still_open(job: "Job") -> str:
    return f"**{escape(job.title)}** is {job.state}. Job `{job.key}`"


def tweak_title(title: str) -> str:
    return f"Tweak: {title}"


def status(job: "Job", place: int, left: float | None) -> str:
    """Title, state, place and about how long, with its id."""
    seen = job.seen
    how = bar(seen.fraction) if job.state == "running" and seen and seen.fraction is not None else job.state
    told = [how, _place(place)]
    if seen and seen.away:
        told.append(AWAY if job.attempt else NONE_ANSWERS)
    elif left:
        told.append(f"about {span(left)}")
    return f"**{escape(job.title)}** · {', '.join(part for part in told if part)} · `{job.key}`"


def lacks_tags(tags: Sequence[str]) -> str:
    """Of a backend, after its name."""
    return f"has not the tag{'s' if len(tags) > 1 else ''} {' and '.join(tags)}"


def backend_down(name: str, seconds: float, reason: str) -> str:
    """For the operators."""
    why = f": {escape(redact(reason))}" if reason else ""
    return (
        f"⚠️ The backend **{escape(name)}** has not answered for {span(seconds)}{why}. Start it again, or say "
        f"`chatelier backends disable {name}` if it is meant to be away."
    )


def backend_back(name: str, seconds: float) -> str:
    """For the operators, who were told that it was away."""
    return f"✅ The backend **{escape(name)}** answers again, after {span(seconds)}."
