"""Taking an order and closing it, each in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from ..chat.buttons import OnJob
from ..chat.messages import Button, Reply, Value
from ..chat.outbox import Address, Begin, as_it_is, moment_of, post
from ..errors import BadInput
from ..keys import readable
from ..media.blob import Blob
from ..media.references import refer
from ..sessions.session import remember_run
from ..storage import Tx
from ..workflows.choices import needs_of
from ..workflows.workflow import Graph, Workflow
from . import words
from .jobs import ALL, CROWDS, JOBS, ORDERS, WORKLOADS, Crowd, Job, Order, Origin, State, Workload, turn_of
from .roster import is_draining


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run that is asked for: its values are checked and its graph is bound."""

    workflow: Workflow
    values: Mapping[str, Value]
    graph: Graph
    files: Mapping[str, Blob] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The limits that an order is taken under. open_orders: a person's at once. all_orders: everybody's."""

    open_orders: int
    all_orders: int
    queue_seconds: float


async def take(
    tx: Tx,
    person: str,
    to: Address,
    event: str,
    wanted: Sequence[Wanted],
    terms: Terms,
    *,
    command: str,
    origin: Origin = "chat",
    begin: Begin = as_it_is,
) -> Order:
    """Order, jobs, the person's open orders and the card, or BadInput and nothing. The same event twice is Exists."""
    if await is_draining(tx):
        raise BadInput(words.DRAINING)
    order_key = readable()
    await _join_crowd(tx, terms.all_orders)
    ahead = await _occupy(tx, person, order_key, len(wanted), terms.open_orders)
    moment = moment_of(tx.now)
    jobs = [
        replace(_job(tx, order_key, person, to, one, terms), turn=turn_of(origin, ahead, moment, n))
        for n, one in enumerate(wanted)
    ]
    card = words.card_waiting(jobs[0].title)
    (row,) = await post(
        tx,
        to,
        [Reply(text=card, buttons=((cancel_button([job.key for job in jobs]),),), live=True)],
        cause=f"card {order_key}",
        event=event,
        order=order_key,
        sign="seen",
        begin=begin,
    )
    order = Order(
        key=order_key,
        person=person,
        to=to,
        event=event,
        command=command,
        jobs=tuple(job.key for job in jobs),
        card=row.key,
        origin=origin,
        created=tx.now,
    )
    await tx.insert(ORDERS, order)
    for job in jobs:
        await tx.insert(JOBS, job)
        for blob in {blob.sha256: blob for blob in job.files.values()}.values():
            await refer(tx, f"input:{job.key}", blob)
    return order


def cancel_button(jobs: Sequence[str]) -> Button:
    """Of a card: for all that was ordered."""
    return Button(label=words.CANCEL, payload=OnJob(job=jobs[0], verb="cancel" if len(jobs) == 1 else "stop").payload)


async def _occupy(tx: Tx, person: str, order: str, jobs: int, most: int) -> int:
    """One more open order of this person, written so that two at once cannot both be the last; returns their open jobs before it."""
    load = await tx.get(WORKLOADS, person)
    if load is None:
        await tx.insert(WORKLOADS, Workload(key=person, orders=(order,), jobs=jobs))
        return 0
    if len(load.orders) >= most:
        raise BadInput(words.too_many_orders(most))
    await tx.replace(WORKLOADS, replace(load, orders=(*load.orders, order), jobs=load.jobs + jobs))
    return load.jobs


async def _join_crowd(tx: Tx, most: int) -> None:
    """One more open order of all, counted where each of them writes."""
    crowd = await tx.get(CROWDS, ALL)
    if crowd is None:
        await tx.insert(CROWDS, Crowd(key=ALL, orders=1))
    elif crowd.orders >= most:
        raise BadInput(words.TOO_MANY_IN_ALL)
    else:
        await tx.replace(CROWDS, replace(crowd, orders=crowd.orders + 1))


def _job(tx: Tx, order: str, person: str, to: Address, wanted: Wanted, terms: Terms) -> Job:
    return Job(
        key=readable(),
        order=order,
        person=person,
        account=to.chat.platform,
        workflow=wanted.workflow.name,
        title=wanted.workflow.title,
        values=wanted.values,
        graph=wanted.graph,
        files=wanted.files,
        shown_nodes=wanted.workflow.outputs,
        tags=wanted.workflow.tags,
        needs=needs_of(wanted.graph, wanted.workflow.tags),
        run_seconds=wanted.workflow.run_seconds,
        ready=True,
        due=tx.now + timedelta(seconds=terms.queue_seconds),
        created=tx.now,
        expires=tx.now + timedelta(seconds=terms.queue_seconds),
    )


async def end(tx: Tx, job: Job, state: Literal["failed", "expired", "cancelled"], sentence: str) -> Job:
    """A job that gives nothing: words to its person, its place given back."""
    return await close(tx, job, state, Reply(text=words.ended_badly(job, state, sentence)), words_=sentence)


async def close(tx: Tx, job: Job, state: State, reply: Reply, *, words_: str = "", begin: Begin = as_it_is) -> Job:
    """The job's last transaction: its state, what is said, and the order when it was its last job."""
    closed = await tx.replace(
        JOBS,
        replace(job, state=state, open=False, ready=False, owner="", due=None, ended=tx.now, words=words_, seen=None),
    )
    order = await tx.get(ORDERS, job.order)
    if order is None:
        return closed
    if order.jobs[0] == job.key:  # variations are one run
        await remember_run(tx, job.person, job.key)
    others = [await tx.get(JOBS, key) for key in order.jobs if key != job.key]
    is_last = not any(other.open for other in others if other)
    if state == "cancelled" and len(order.jobs) > 1:
        # Each would say the same; the last one says it for all.
        done = sum(other.state == "done" for other in others if other)
        replies = [Reply(text=words.order_cancelled(job.title, done, len(order.jobs)))] if is_last else []
    else:
        replies = [reply]
    await post(
        tx,
        order.to,
        replies,
        cause=f"end {job.key}",
        event=order.event,
        order=order.key,
        job=job.key,
        replaces=order.card if is_last else "",
        sign="done" if state == "done" else "failed",
        begin=begin,
    )
    await _leave(tx, order, is_last=is_last)
    if is_last:
        await tx.replace(ORDERS, replace(order, state="closed"))
    return closed


async def _leave(tx: Tx, order: Order, *, is_last: bool) -> None:
    """One open job less, and with the last one an open order less: of this person, and of all."""
    load = await tx.get(WORKLOADS, order.person)
    if load is not None:
        left = tuple(key for key in load.orders if key != order.key or not is_last)
        await tx.replace(WORKLOADS, replace(load, orders=left, jobs=max(0, load.jobs - 1)))
    crowd = await tx.get(CROWDS, ALL) if is_last and order.state == "open" else None
    if crowd is not None:
        await tx.replace(CROWDS, replace(crowd, orders=max(0, crowd.orders - 1)))


async def cancel_job(tx: Tx, key: str) -> str:
    """Cancel a job, or ask who holds it to. Returns what to say."""
    job = await tx.get(JOBS, key)
    if job is None:
        return words.NO_SUCH_JOB
    if not job.open:
        return words.already(job)
    if job.state == "storing":
        return words.TOO_LATE
    is_free = not job.owner or (job.due is not None and job.due <= tx.now)
    if is_free and job.state == "queued":
        await end(tx, job, "cancelled", "")
        return words.CANCELLED
    await tx.replace(JOBS, replace(job, cancel=True))
    return words.CANCELLING
