"""/status, /again, /vary, /original, /show and /cancel."""

from chatelier import (
    BadInput,
    Button,
    Call,
    OnJob,
    Reply,
    Tx,
    cancel_job,
    open_jobs,
    press,
    shorten,
    status_lines,
    store_action,
    token,
)

from . import words

TITLE_CHARACTERS = 30
"""Of a job's title on its button, so that there is room for what tells it from the others."""
NUMBER_DIGITS = 2
"""What has more of them is a job's id, though it may be without letters."""


async def status(call: Call) -> None:
    """A line and a cancel button for each open job of the person, and where there are several, one for all."""
    jobs = await open_jobs(call.runtime.store, call.person.key)
    if not jobs:
        await call.commit(None, Reply(text=words.NOTHING_RUNS, private=True))
        return
    lines = await status_lines(call.runtime.store, jobs)
    buttons = [
        Button(
            label=f"Cancel {shorten(job.title, TITLE_CHARACTERS)} {job.key[:4]}",
            payload=OnJob(job=job.key, verb="cancel").payload,
        )
        for job in jobs
    ]
    key = token()
    if len(jobs) > 1:
        buttons.append(Button(label=words.CANCEL_ALL, payload=f"a.{key}"))

    async def work(tx: Tx) -> None:
        if len(jobs) > 1:
            await store_action(tx, "cancel", {}, person=call.event.sender, key=key)

    rows = tuple((button,) for button in buttons)
    await call.commit(work, Reply(text="\n".join(f"- {line}" for line in lines), buttons=rows, private=True))


async def again(call: Call) -> None:
    """One of the last five runs, 1 for the newest."""
    await press(call, OnJob(job=_run(call, int(call.values.get("run") or 1)), verb="again"), {})


async def vary(call: Call) -> None:
    """Several of a run at once, which differ by their seeds."""
    await press(call, OnJob(job=_any_run(call), verb="vary"), call.values)


async def original(call: Call) -> None:
    await press(call, OnJob(job=_any_run(call), verb="original"), {})


async def show(call: Call) -> None:
    await press(call, OnJob(job=_key(call), verb="show"), {})


async def cancel(call: Call) -> None:
    """One job, with the rights of its button; or all of the person's own."""
    if key := _key(call):
        await press(call, OnJob(job=key, verb="cancel"), {})
        return
    jobs = await open_jobs(call.runtime.store, call.person.key)
    if not jobs:
        raise BadInput(words.NOTHING_RUNS)

    async def work(tx: Tx) -> None:
        for job in jobs:
            await cancel_job(tx, job.key)

    await call.commit(work, Reply(text=words.cancelling(len(jobs)), private=True))


def _any_run(call: Call) -> str:
    """The job that is meant: by its id, or by its number among the last five runs; else the newest."""
    said = _key(call)
    is_number = said.isdecimal() and len(said) <= NUMBER_DIGITS
    return said if said and not is_number else _run(call, int(said or 1))


def _run(call: Call, n: int) -> str:
    """The job of one of the last five runs, 1 for the newest."""
    runs = call.session.runs
    if not runs:
        raise BadInput(words.NO_RUNS)
    if not 0 < n <= len(runs):
        raise BadInput(words.fewer_runs(len(runs)))
    return runs[n - 1]


def _key(call: Call) -> str:
    return str(call.values.get("job") or "").strip().lower()
