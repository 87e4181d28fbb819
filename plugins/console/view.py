"""What the page shows, as HTML. Everything that anybody typed is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from chatelier import JOBS, Job, Result, Runtime, Unavailable, results_of

LAST_JOBS = 20
FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chatelier · console</title>
<link rel="stylesheet" href="/console/page/console.css">
<script type="module" src="/console/page/console.js"></script>
</head>
<body>
<header><h1>Chatelier</h1><nav><a href="/">Chat</a></nav>
<form method="post" action="/console/refresh"><button>Load workflows again</button></form></header>
<main id="now">{now}</main>
</body>
</html>
"""


def page(now: str) -> str:
    return FRAME.format(now=now)


async def now(runtime: Runtime) -> str:
    """The part that is fetched again every few seconds."""
    sections = [
        _section("Health", _health(runtime)),
        _section("Backends", await _backends(runtime)),
        _section("Queue", await _queue(runtime)),
        _section("Last jobs", await _last_jobs(runtime)),
        _section("Workflows", _workflows(runtime)),
        _section("Plugins", _plugins(runtime)),
    ]
    return "\n".join(sections)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return "<p>None.</p>"
    return (
        "<div class='wide'><table><thead><tr>"
        + "".join(f"<th scope='col'>{name}</th>" for name in head)
        + f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _health(runtime: Runtime) -> str:
    rows = []
    for name, health in runtime.health().items():
        mark = "well" if health.well else "ill"
        state = f"<span class='{mark}'>{escape(health.state)}</span>"
        rows.append((escape(name), state, escape(health.detail), escape(health.last_error), str(health.restarts)))
    problems = "".join(f"<li class='ill'>{escape(problem)}</li>" for problem in runtime.problems)
    return _table(("part", "state", "detail", "last error", "restarts"), rows) + (
        f"<ul>{problems}</ul>" * bool(problems)
    )


async def _backends(runtime: Runtime) -> str:
    rows = []
    for name, backend in runtime.backends.items():
        try:
            found = await backend.describe()
        except Unavailable as away:
            rows.append((escape(name), "<span class='ill'>down</span>", "", "", escape(str(away))))
            continue
        ours = runtime.workshop.placing.given[name]
        rows.append(
            (escape(name), "<span class='well'>up</span>", f"{found.running}", f"{found.waiting}", f"{ours} of ours")
        )
    return _table(("backend", "state", "running", "waiting", ""), rows)


async def _queue(runtime: Runtime) -> str:
    jobs = await runtime.store.find(JOBS, {"open": True}, order="created", limit=50)
    return _table(("job", "workflow", "state", "asked", ""), [_queued(job) for job in jobs])


def _queued(job: Job) -> tuple[str, ...]:
    cancel = f"<form method='post' action='/console/cancel/{job.key}'><button>Cancel</button></form>"
    fraction = f" {job.seen.fraction:.0%}" if job.seen and job.seen.fraction is not None else ""
    return (
        f"<code>{job.key}</code>",
        escape(job.workflow),
        f"{job.state}{fraction}",
        f"{job.created:%H:%M:%S}",
        cancel,
    )


async def _last_jobs(runtime: Runtime) -> str:
    jobs = await runtime.store.find(JOBS, {"open": False}, order="created", descending=True, limit=LAST_JOBS)
    rows = []
    for job in jobs:
        took = f"{job.run_ms / 1000:.1f} s" if job.run_ms else ""
        shown = "".join(_thumbnail(result) for result in (await results_of(runtime.store, job.key))[:4])
        mark = "well" if job.state == "done" else "ill"
        state = f"<span class='{mark}'>{job.state}</span>"
        why = escape(job.words)
        rows.append((f"<code>{job.key}</code>", escape(job.workflow), state, took, escape(job.backend), shown + why))
    return _table(("job", "workflow", "state", "time", "backend", "result"), rows)


def _thumbnail(result: Result) -> str:
    if result.blob is None or result.blob.kind not in ("image", "animation"):
        return escape(result.name)
    return f"<img src='/console/thumbnail/{escape(result.key)}' alt='result {result.n + 1}' loading='lazy' height='80'>"


def _workflows(runtime: Runtime) -> str:
    rows = [
        (f"<code>/{escape(one.name)}</code>", escape(one.title), escape(one.source))
        for one in runtime.catalogue.workflows
    ]
    bad = [
        (f"<span class='ill'>{escape(one.source)}</span>", escape(one.node), escape(one.reason))
        for one in runtime.catalogue.problems
    ]
    return _table(("command", "title", "from"), rows) + (_table(("problem", "node", "reason"), bad) if bad else "")


def _plugins(runtime: Runtime) -> str:
    rows = [(escape(info.name), escape(info.origin), escape(info.version), "") for info in runtime.plugins.loaded]
    broken = [
        (f"<span class='ill'>{escape(name)}</span>", "", "", escape(reason))
        for name, reason in runtime.plugins.broken.items()
    ]
    return _table(("plugin", "from", "version", ""), [*rows, *broken])
