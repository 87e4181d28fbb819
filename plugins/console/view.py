"""What the page shows, as HTML. Everything that anybody typed, named or sent is escaped."""

import asyncio
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from chatelier import JOBS, Backend, ChatelierError, Job, Result, Runtime, redact, results_of, shorten

LAST_JOBS = 20
SHOWN_RESULTS = 4
PROMPT_CHARACTERS = 140
ANSWER_SECONDS = 3.0
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


async def now(runtime: Runtime) -> str:
    """The part that is fetched again every few seconds."""
    waiting = await runtime.store.find(JOBS, {"open": True}, order="created", limit=50)
    ended = await runtime.store.find(JOBS, {"open": False}, order="created", descending=True, limit=LAST_JOBS)
    sections = [
        _section("Queue", _queue(waiting)),
        _section("Last jobs", await _last_jobs(runtime, ended)),
        _section("Backends", await _backends(runtime)),
        _section("Health", _health(runtime)),
        _section("Workflows", _workflows(runtime)),
        _section("Plugins", _plugins(runtime)),
    ]
    return "\n".join(sections)


def away(error: ChatelierError) -> str:
    return f"<p class='ill'>{_told(str(error))}</p>"


def _told(words: str) -> str:
    """What a plugin, a server or a configuration says: any of them may quote a secret."""
    return escape(redact(words))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], empty: str = "None.") -> str:
    """Cells are HTML already. On a narrow screen each cell says its own heading."""
    body = "".join(
        "<tr>"
        + "".join(f"<td data-head='{name}'>{cell}</td>" for name, cell in zip(head, row, strict=True) if cell or name)
        + "</tr>"
        for row in rows
    )
    if not body:
        return f"<p class='quiet'>{empty}</p>"
    headings = "".join(f"<th scope='col'>{name}</th>" for name in head)
    return f"<table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table>"


def _mark(words: str, *, well: bool) -> str:
    return f"<span class='mark {'well' if well else 'ill'}'>{escape(words)}</span>"


def _queue(jobs: Sequence[Job]) -> str:
    rows = [
        (_what(job), f"{job.created:%H:%M:%S}", _progress(job), _button(f"/console/cancel/{escape(job.key)}", "Cancel"))
        for job in jobs
    ]
    return _table(("job", "asked (UTC)", "state", "action"), rows, "Nothing waits or runs.")


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


def _button(action: str, label: str) -> str:
    return f"<form method='post' action='{action}'><button>{label}</button></form>"


async def _last_jobs(runtime: Runtime, jobs: Sequence[Job]) -> str:
    rows = []
    for job in jobs:
        results = await results_of(runtime.store, job.key)
        shown = "".join(_result(result) for result in results[:SHOWN_RESULTS])
        took = f"{job.run_ms / 1000:.1f} s" if job.run_ms else ""
        where = " · ".join(part for part in (took, escape(job.backend)) if part)
        state = _mark(job.state, well=job.state == "done")
        rows.append((shown, _what(job) + (f"<p class='quiet'>{_told(job.words)}</p>" * bool(job.words)), state, where))
    return _table(("result", "job", "state", "took"), rows, "Nothing was made yet.")


def _result(result: Result) -> str:
    if result.blob is None:
        return f"<q>{escape(shorten(result.text, PROMPT_CHARACTERS))}</q>"
    if result.blob.kind not in ("image", "animation"):
        return f"<span>{escape(result.name)}</span>"
    return f"<img src='/console/thumbnail/{escape(result.key)}' alt='result {result.n + 1}' loading='lazy'>"


async def _backends(runtime: Runtime) -> str:
    rows = await asyncio.gather(*(_backend(runtime, name, one) for name, one in runtime.backends.items()))
    return _table(("backend", "state", "running", "waiting", "detail"), rows)


async def _backend(runtime: Runtime, name: str, backend: Backend) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await backend.describe()
    except TimeoutError:
        return escape(name), _mark("down", well=False), "", "", f"no answer within {ANSWER_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - a plugin's code; the page shows it and goes on
        return escape(name), _mark("down", well=False), "", "", _told(str(error))
    ours = runtime.workshop.placing.given[name]
    detail = " · ".join(part for part in (f"{ours} of ours", _told(found.detail)) if part)
    return escape(name), _mark("up", well=True), str(found.running), str(found.waiting), detail


def _health(runtime: Runtime) -> str:
    rows = [
        (
            escape(name),
            _mark(health.state, well=health.well),
            str(health.restarts),
            _told(" · ".join(part for part in (health.detail, health.last_error) if part)),
        )
        for name, health in runtime.health().items()
    ]
    problems = "".join(f"<li>{_told(problem)}</li>" for problem in (*runtime.settings.problems, *runtime.problems))
    return _table(("part", "state", "restarts", "detail"), rows) + f"<ul class='ill'>{problems}</ul>" * bool(problems)


def _workflows(runtime: Runtime) -> str:
    rows = [
        (f"<b>/{escape(one.name)}</b>", escape(one.title), _file(one.source)) for one in runtime.catalogue.workflows
    ]
    bad = [
        (f"<span class='ill'>{_file(one.source)}</span>", escape(one.node), _told(one.reason))
        for one in runtime.catalogue.problems
    ]
    return _table(("command", "title", "from"), rows) + (
        _table(("cannot be used", "node", "reason"), bad) if bad else ""
    )


def _file(source: str) -> str:
    """The end of a path; the whole of it for who points at it."""
    short = "/".join(Path(source).parts[-3:])
    return f"<span title='{escape(source)}'>{escape(short)}</span>"


def _plugins(runtime: Runtime) -> str:
    rows = [
        (escape(info.name), _mark("loaded", well=True), escape(f"{info.origin} {info.version}"))
        for info in runtime.plugins.loaded
    ]
    broken = [
        (escape(name), _mark("broken", well=False), _told(reason)) for name, reason in runtime.plugins.broken.items()
    ]
    return _table(("plugin", "state", "detail"), [*broken, *rows])
