"""What the page shows, as HTML. Everything that anybody typed, named or sent is escaped."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from chatelier import JOBS, ChatelierError, Job, Result, Runtime, is_draining, results_of, shorten

from .backends import backends
from .charts import Charts
from .pieces import button, mark, section, table, told

FIRST_JOBS = 50
LAST_JOBS = 20
SHOWN_RESULTS = 4
PROMPT_CHARACTERS = 140
DRAIN = f"<div class='below'>{button('/console/drain/on', 'Drain the gateway')} Nothing new is taken then, until you end it.</div>"
FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chatelier · console</title>
<link rel="icon" href="/console/page/icon.svg">
<link rel="stylesheet" href="/console/page/console.css">
<script type="module" src="/console/page/console.js"></script>
</head>
<body>
<header><h1>Chatelier <small>console</small></h1><nav><a href="/">Chat</a><a href="/readyz">Health as JSON</a></nav>
<form method="post" action="/console/refresh"><button>Load workflows again</button></form></header>
<main id="now" aria-live="off">{now}</main>
</body>
</html>
"""


def page(now: str) -> str:
    return FRAME.format(now=now)


async def now(runtime: Runtime, charts: Charts) -> str:
    """The part that is fetched again every few seconds."""
    waiting = await runtime.store.find(JOBS, {"open": True}, order="created", limit=FIRST_JOBS)
    ended = await runtime.store.find(JOBS, {"open": False}, order="ended", descending=True, limit=LAST_JOBS)
    is_drained = await is_draining(runtime.store)
    sections = [
        _draining() if is_drained else "",
        section("Queue", _queue(waiting), wide=True),
        section("Work", await charts.html(list(runtime.fleet.members)), wide=True),
        section("Backends", backends(runtime) + ("" if is_drained else DRAIN), wide=True),
        section("Last jobs", await _last_jobs(runtime, ended), wide=True),
        section("Health", _health(runtime)),
        section("Workflows", _workflows(runtime)),
        section("Plugins", _plugins(runtime)),
    ]
    return "\n".join(sections)


def away(error: ChatelierError) -> str:
    return f"<p class='ill'>{told(str(error))}</p>"


def _draining() -> str:
    words = "The gateway is drained: no orders are taken, and what was ordered is finished."
    return f"<p class='notice' role='status'>{words} {button('/console/drain/off', 'Take orders again')}</p>"


def _queue(jobs: Sequence[Job]) -> str:
    rows = [
        (_what(job), f"{job.created:%H:%M:%S}", _progress(job), button(f"/console/cancel/{escape(job.key)}", "Cancel"))
        for job in jobs
    ]
    return table(("job", "asked (UTC)", "state", "action"), rows, "Nothing waits or runs.")


def _what(job: Job) -> str:
    """Its command and prompt, with its id."""
    prompt = str(job.values.get("prompt", ""))
    short = shorten(prompt, PROMPT_CHARACTERS)
    return f"<b>/{escape(job.workflow)}</b> {escape(short)} <code>{escape(job.key)}</code>"


def _progress(job: Job) -> str:
    fraction = job.seen.fraction if job.seen else None
    if fraction is None:
        return escape(job.state)
    return f"{escape(job.state)} <progress max='100' value='{fraction * 100:.0f}'></progress> {fraction:.0%}"


async def _last_jobs(runtime: Runtime, jobs: Sequence[Job]) -> str:
    rows = []
    for job in jobs:
        results = await results_of(runtime.store, job.key)
        shown = "".join(_result(result) for result in results[:SHOWN_RESULTS])
        took = f"{job.run_ms / 1000:.1f} s" if job.run_ms else ""
        where = " · ".join(part for part in (took, escape(job.backend)) if part)
        state = mark(job.state, well=job.state == "done")
        rows.append((shown, _what(job) + (f"<p class='quiet'>{told(job.words)}</p>" * bool(job.words)), state, where))
    return table(("result", "job", "state", "took"), rows, "Nothing was made yet.")


def _result(result: Result) -> str:
    if result.blob is None:
        return f"<q>{escape(shorten(result.text, PROMPT_CHARACTERS))}</q>"
    if result.blob.kind not in ("image", "animation"):
        return f"<span>{escape(result.name)}</span>"
    return f"<img src='/console/thumbnail/{escape(result.key)}' alt='result {result.n + 1}' loading='lazy'>"


def _health(runtime: Runtime) -> str:
    rows = [
        (
            escape(name),
            mark(health.state, well=health.well),
            str(health.restarts),
            told(" · ".join(part for part in (health.detail, health.last_error) if part)),
        )
        for name, health in runtime.health().items()
    ]
    problems = "".join(f"<li>{told(problem)}</li>" for problem in (*runtime.settings.problems, *runtime.problems))
    return table(("part", "state", "restarts", "detail"), rows) + f"<ul class='ill'>{problems}</ul>" * bool(problems)


def _workflows(runtime: Runtime) -> str:
    rows = [
        (f"<b>/{escape(one.name)}</b>", escape(one.title), _file(one.source)) for one in runtime.catalogue.workflows
    ]
    bad = [
        (f"<span class='ill'>{_file(one.source)}</span>", escape(one.node), told(one.reason))
        for one in runtime.catalogue.problems
    ]
    return table(("command", "title", "from"), rows) + (table(("cannot be used", "node", "reason"), bad) if bad else "")


def _file(source: str) -> str:
    """The end of a path; the whole of it for who points at it."""
    short = "/".join(Path(source).parts[-3:])
    return f"<span title='{escape(source)}'>{escape(short)}</span>"


def _plugins(runtime: Runtime) -> str:
    rows = [
        (escape(info.name), mark("loaded", well=True), escape(f"{info.origin} {info.version}"))
        for info in runtime.plugins.loaded
    ]
    broken = [
        (escape(name), mark("broken", well=False), told(reason)) for name, reason in runtime.plugins.broken.items()
    ]
    return table(("plugin", "state", "detail"), [*broken, *rows])
