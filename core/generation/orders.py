"""Taking an order and closing it, each in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from ..chat.buttons import OnJob
from ..chat.messages import Button, Reply, Value
from ..chat.outbox import Address, post
from ..errors import BadInput
from ..keys import readable
from ..media.blob import Blob
from ..media.references import refer
from ..sessions.session import remember_run
from ..storage import Tx
from ..workflows.workflow import Graph, Workflow
from . import words
from .jobs import JOBS, ORDERS, WORKLOADS, Job, Order, State, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run that is asked for: its values are checked and its graph is bound."""

    workflow: Workflow
    values: Mapping[str, Value]
    graph: Graph
    files: Mapping[str, Blob] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The limits that an order is taken under. open_orders: a person's at once."""

    open_orders: int
    queue_seconds: float


async def take(
    tx: Tx, person: str, to: Address, event: str, wanted: Sequence[Wanted], terms: Terms, *, command: str
) -> Order:
    """Order, jobs, the person's open orders and the card, or BadInput and nothing. The same event twice is Exists."""
    order_key = readable()
    await _occupy(tx, person, order_key, terms.open_orders)
    jobs = [_job(tx, order_key, person, to, one, terms) for one in wanted]
    card = words.card_waiting(jobs[0].title)
    cancel = Button(label=words.CANCEL, payload=OnJob(job=jobs[0].key, verb="cancel").payload)
    (row,) = await post(
        tx,
        to,
        [Reply(text=card, buttons=((cancel,),))],
        cause=f"card {order_key}",
        event=event,
        order=order_key,
        sign="seen",
    )
    order = Order(
        key=order_key,
        person=person,
        to=to,
        event=event,
        command=command,
        jobs=tuple(job.key for job in jobs),
        card=row.key,
        created=tx.now,
    )
    await tx.insert(ORDERS, order)
    for job in jobs:
        await tx.insert(JOBS, job)
        for blob in {blob.sha256: blob for blob in job.files.values()}.values():
            await refer(tx, f"input:{job.key}", blob)
    return order


async def _occupy(tx: Tx, person: str, order: str, most: int) -> None:
    """One more open order of this person. The workload is written, so that two at once cannot both be the last one allowed."""
    load = await tx.get(WORKLOADS, person)
    if load is None:
        await tx.insert(WORKLOADS, Workload(key=person, orders=(order,)))
        return
    if len(load.orders) >= most:
        raise BadInput(words.too_many_orders(most))
    await tx.replace(WORKLOADS, replace(load, orders=(*load.orders, order)))


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
        due=tx.now,
        created=tx.now,
        expires=tx.now + timedelta(seconds=terms.queue_seconds),
    )


async def end(tx: Tx, job: Job, state: Literal["failed", "expired", "cancelled"], sentence: str) -> Job:
    """A job that gives nothing: words to its person, its place given back."""
    return await close(tx, job, state, Reply(text=words.ended_badly(job, state, sentence)), words_=sentence)


async def close(tx: Tx, job: Job, state: State, reply: Reply, *, words_: str = "") -> Job:
    """The job's last transaction: its state, what is said, and the order when it was its last job."""
    closed = await tx.replace(
        JOBS, replace(job, state=state, open=False, owner="", due=None, ended=tx.now, words=words_, seen=None)
    )
    order = await tx.get(ORDERS, job.order)
    if order is None:
        return closed
    await remember_run(tx, job.person, job.key)
    first = order.jobs[0] == job.key
    await post(
        tx,
        order.to,
        [reply],
        cause=f"end {job.key}",
        event=order.event,
        order=order.key,
        job=job.key,
        replaces=order.card if first else "",
        sign="done" if state == "done" else "failed",
    )
    others = [await tx.get(JOBS, key) for key in order.jobs if key != job.key]
    if not any(other.open for other in others if other):
        await tx.replace(ORDERS, replace(order, state="closed"))
        await _release(tx, order)
    return closed


async def _release(tx: Tx, order: Order) -> None:
    load = await tx.get(WORKLOADS, order.person)
    if load is not None and order.key in load.orders:
        left = tuple(key for key in load.orders if key != order.key)
        await tx.replace(WORKLOADS, replace(load, orders=left))


async def ask_to_cancel(tx: Tx, key: str) -> str:
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
