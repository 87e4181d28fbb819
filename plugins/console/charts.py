"""The charts, drawn here: shapes as inline SVG, words as HTML, and each chart also as a table."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from statistics import median, quantiles

from .history import History, Look, busy_seconds

HOUR = timedelta(hours=1)
HOURS = 24
STEP = timedelta(minutes=5)
STEPS = 36
WORKFLOWS = 8
HEIGHT = 100
Rows = Sequence[Sequence[str]]


class Charts:
    """Drawn when there is something new to draw, however many look at them."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._look: Look | None = None
        self._html = ""

    async def html(self, backends: Sequence[str]) -> str:
        """Raises Unavailable."""
        look = await self._history.look()
        if look is not self._look:
            # A day of a big fleet takes a moment.
            self._html = await asyncio.to_thread(charts, look, backends)
            self._look = look
        return self._html


def charts(look: Look, backends: Sequence[str]) -> str:
    """All four. backends: those that are configured, whether they were used or not."""
    partial = "" if look.is_whole else f"<p class='quiet'>Counted are the jobs since {look.since:%H:%M} UTC only.</p>"
    parts = (_queue(look), _finished(look), _seconds(look), _use(look, backends))
    return f"{partial}<div class='charts'>{''.join(parts)}</div>"


# --- how many waited and ran


def _queue(look: Look) -> str:
    end = _floor(look.at, STEP) + STEP
    begins = [end - STEP * n for n in range(STEPS, 0, -1)]
    jobs = (*look.ended, *look.open)
    waiting = averages(((job.created, job.began or job.ended or look.at) for job in jobs), begins[0], look.at)
    running = averages(((job.began, job.ended or look.at) for job in jobs if job.began), begins[0], look.at)
    most = max(*waiting, *running, 1.0)
    shapes = _line(waiting, most, "waiting") + _line(running, most, "running")
    words = (
        f"Averages of five minutes over three hours. At the end {waiting[-1]:.1f} waited and {running[-1]:.1f} ran; "
        f"the most were {max(waiting):.1f} and {max(running):.1f}."
    )
    rows = [
        (f"{begin:%H:%M}", f"{waited:.1f}", f"{ran:.1f}")
        for begin, waited, ran in zip(begins, waiting, running, strict=True)
    ]
    legend = "<p class='legend'><i class='waiting'></i>waiting <i class='running'></i>running</p>"
    drawn = _drawn("queue", "Waiting and running", words, STEPS, shapes) + _axis(begins[0], most, "now")
    return _figure("queue", "Waiting and running", words, legend + drawn, ("from (UTC)", "waiting", "running"), rows)


def averages(spans: Iterable[tuple[datetime, datetime]], first: datetime, at: datetime) -> Sequence[float]:
    """How many of the spans there were on average in each step from `first` on; the last one is as long as it is by now."""
    totals = [0.0] * STEPS
    for begin, end in spans:
        reached, stop = max(begin, first), min(end, at)
        while reached < stop:
            n = (reached - first) // STEP
            until = min(stop, first + STEP * (n + 1))
            totals[n] += (until - reached).total_seconds()
            reached = until
    last = (at - first - STEP * (STEPS - 1)).total_seconds()
    lengths = [STEP.total_seconds()] * (STEPS - 1) + [max(1.0, last)]
    return [total / length for total, length in zip(totals, lengths, strict=True)]


def _line(values: Sequence[float], most: float, kind: str) -> str:
    """Level for as long as each value holds."""
    points = " ".join(
        f"{n},{HEIGHT - value / most * HEIGHT:.1f} {n + 1},{HEIGHT - value / most * HEIGHT:.1f}"
        for n, value in enumerate(values)
    )
    return f"<polyline class='{kind}' points='{points}'/>"


# --- how many ended


def _finished(look: Look) -> str:
    first = _floor(look.at, HOUR) - HOUR * (HOURS - 1)
    done, bad = [0] * HOURS, [0] * HOURS
    for job in look.ended:
        if job.ended is not None and job.ended >= first:
            counted = done if job.is_done else bad
            counted[int((job.ended - first) / HOUR)] += 1
    most = max(*(a + b for a, b in zip(done, bad, strict=True)), 1)
    begins = [first + HOUR * n for n in range(HOURS)]
    shapes = "".join(_column(n, begins[n], done[n], bad[n], most) for n in range(HOURS))
    words = f"{sum(done)} done and {sum(bad)} not in {HOURS} hours; {done[-1]} done and {bad[-1]} not since {begins[-1]:%H:%M} UTC."
    rows = [(f"{begin:%H:%M}", str(a), str(b)) for begin, a, b in zip(begins, done, bad, strict=True)]
    legend = "<p class='legend'><i class='done'></i>done <i class='bad'></i>failed, expired or cancelled</p>"
    drawn = _drawn("finished", "Finished an hour", words, HOURS, shapes) + _axis(first, most, "this hour")
    return _figure("finished", "Finished an hour", words, legend + drawn, ("hour (UTC)", "done", "not done"), rows)


def _column(n: int, begin: datetime, done: int, bad: int, most: int) -> str:
    low, high = done / most * HEIGHT, bad / most * HEIGHT
    return (
        f"<g><title>{begin:%H:%M} UTC: {done} done, {bad} not</title>"
        f"<rect class='none' x='{n}' y='0' width='1' height='{HEIGHT}'/>"
        f"<rect class='done' x='{n + 0.1:.1f}' y='{HEIGHT - low:.1f}' width='0.8' height='{low:.1f}'/>"
        f"<rect class='bad' x='{n + 0.1:.1f}' y='{HEIGHT - low - high:.1f}' width='0.8' height='{high:.1f}'/></g>"
    )


# --- how long they took


def _seconds(look: Look) -> str:
    took: dict[str, list[float]] = {}
    for job in look.ended:
        if job.is_done:
            took.setdefault(job.workflow, []).append(job.seconds)
    shown = sorted(took, key=lambda name: len(took[name]), reverse=True)[:WORKFLOWS]
    slowest = max((_most(took[name]) for name in shown), default=0.0) or 1.0
    rows = [
        (
            f"<b>/{escape(name)}</b>",
            _bar(median(took[name]) / slowest, _most(took[name]) / slowest),
            f"{median(took[name]):.1f} s",
            f"{_most(took[name]):.1f} s",
            str(len(took[name])),
        )
        for name in shown
    ]
    words = "How long jobs ran that are done: half of them at most the bar, nine of ten at most the thin line."
    return _figure("seconds", "Seconds a workflow", words, _rows(("workflow", "", "half", "nine of ten", "runs"), rows))


def _most(seconds: Sequence[float]) -> float:
    """What nine of ten did not exceed."""
    return quantiles(seconds, n=10, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]


# --- how busy backends were


def _use(look: Look, backends: Sequence[str]) -> str:
    since = max(look.at - HOUR, look.since)
    span = (look.at - since).total_seconds() or 1.0
    spans: dict[str, list[tuple[datetime, datetime]]] = {name: [] for name in backends}
    count: dict[str, int] = dict.fromkeys(backends, 0)
    for job in (*look.ended, *look.open):
        end = job.ended or look.at
        if job.backend in spans and job.began is not None and end > since:
            spans[job.backend].append((job.began, end))
            count[job.backend] += 1
    used = {name: busy_seconds(found, since, look.at) / span for name, found in spans.items()}
    rows = [(escape(name), _bar(share), f"{share:.0%}", str(count[name])) for name, share in used.items()]
    words = "How much of the last hour each ran a job of ours."
    return _figure("use", "Backends' use", words, _rows(("backend", "", "busy", "jobs"), rows))


# --- pieces


def _figure(name: str, title: str, words: str, body: str, head: Sequence[str] = (), rows: Rows = ()) -> str:
    """head, rows: of the table for whoever does not see the shapes; none where the body is one."""
    table = f"<details id='{name}-table'><summary>As a table</summary>{_rows(head, rows)}</details>" if head else ""
    return f"<figure class='{name}'><figcaption><h3>{title}</h3><p class='quiet'>{words}</p></figcaption>{body}{table}</figure>"


def _drawn(name: str, title: str, words: str, width: int, shapes: str) -> str:
    return (
        f"<svg role='img' aria-labelledby='{name}-title {name}-words' viewBox='0 0 {width} {HEIGHT}' preserveAspectRatio='none'>"
        f"<title id='{name}-title'>{title}</title><desc id='{name}-words'>{words}</desc>{shapes}</svg>"
    )


def _axis(begin: datetime, most: float, end: str) -> str:
    top = f"{most:.0f}" if most >= 10 else f"{most:.1f}".removesuffix(".0")
    return f"<p class='axis'><span>{begin:%H:%M}</span><span>top: {top}</span><span>{end}</span></p>"


def _bar(share: float, thin: float = 0.0) -> str:
    """share: of its whole width. The words beside it say the same."""
    line = f"<rect class='thin' x='0' y='4' width='{min(1.0, thin) * 100:.1f}' height='2'/>" if thin else ""
    return (
        "<svg class='bar' aria-hidden='true' viewBox='0 0 100 10' preserveAspectRatio='none'>"
        f"<rect class='rail' width='100' height='10'/>{line}<rect class='full' width='{min(1.0, share) * 100:.1f}' height='10'/></svg>"
    )


def _rows(head: Sequence[str], rows: Rows) -> str:
    if not rows:
        return "<p class='quiet'>Nothing yet.</p>"
    headings = "".join(f"<th scope='col'>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table class='small'><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table>"


def _floor(moment: datetime, step: timedelta) -> datetime:
    """The last full step at or before it, counted from midnight."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + step * ((moment - midnight) // step)
