"""/status, /again, /show and /cancel."""

from chatelier import BadInput, Button, Call, OnJob, Reply, Tx, cancel_job, open_jobs, press, status_line

from . import words


async def status(call: Call) -> None:
    """A line and a cancel button for each open job of the person."""
    jobs = await open_jobs(call.runtime.store, call.person.key)
    if not jobs:
        await call.commit(None, Reply(text=words.NOTHING_RUNS, private=True))
        return
    lines = [await status_line(call.runtime.store, job) for job in jobs]
    rows = tuple(
        (Button(label=f"Cancel {job.title} {job.key[:4]}", payload=OnJob(job=job.key, verb="cancel").payload),)
        for job in jobs
    )
    await call.commit(None, Reply(text="\n".join(f"- {line}" for line in lines), buttons=rows, private=True))


async def again(call: Call) -> None:
    """One of the last five runs, 1 for the newest."""
    runs, n = call.session.runs, int(call.values.get("run") or 1)
    if not runs:
        raise BadInput(words.NO_RUNS)
    if n > len(runs):
        raise BadInput(words.fewer_runs(len(runs)))
    await press(call, OnJob(job=runs[n - 1], verb="again"), {})


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


def _key(call: Call) -> str:
    return str(call.values.get("job") or "").strip().lower()
