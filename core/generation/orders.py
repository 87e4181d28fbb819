"""Taking an order and closing it, each in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from ..chat.buttons import OnJob
from ..chat.messages import Button, Reply, Value
from ..chat.outbox import Address, Begin, as_it_is, moment_of, post
from ..errors import BadInput
from ..keys import readable
from ..media.blob import Blob
from ..media.references import refer
from ..points import words as point_words
from ..points.charging import Charges, Run, accept, settle
from ..sessions.session import remember_run
from ..storage import Tx
from ..values import replace
from ..workflows.choices import needs_of
from ..workflows.workflow import Graph, Workflow
from . import words
from .jobs import ALL, CROWDS, JOBS, ORDERS, WORKLOADS, Crowd, Job, Order, Origin, Settles, State, Workload, turn_of
from .roster import is_draining


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run that is asked for: its values are checked and its graph is bound."""

    workflow: Workflow
    values: Mapping[str, Value]
    graph: Graph
    files: Mapping[str, Blob] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Orders of one person or group: at once, and a day (0: no limit)."""

    open_orders: int = 0
    daily_orders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an order is taken under. own: the person's limits. all_orders: everybody's at once.

    group: whose limits `shared` are, "" outside of one. charges: None where points are off. quote_over: millipoints; an order that
    likely costs more says so.
    """

    own: Bounds
    all_orders: int
    queue_seconds: float
    group: str = ""
    shared: Bounds = Bounds()
    charges: Charges | None = None
    quote_over: int = 0
    settles: Settles = "each"


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
    ahead = await _occupy(tx, person, order_key, len(wanted), terms.own, words.OWN)
    if terms.group:
        await _occupy(tx, shared_by(terms.group), order_key, len(wanted), terms.shared, words.SHARED)
    charges = terms.charges
    payer = await accept(tx, order_key, person, charges, origin) if charges else None
    moment, expires = moment_of(tx.now), tx.now + timedelta(seconds=terms.queue_seconds)
    jobs = [
        replace(
            draft(one, person, to, tx.now),
            key=readable(),
            order=order_key,
            due=expires,
            expires=expires,
            turn=turn_of(origin, ahead, moment, n),
            price=charges.quotes[n].price if charges else None,
            share=charges.quotes[n].hold if charges else 0,
        )
        for n, one in enumerate(wanted)
    ]
    card = words.card_waiting(jobs[0].title)
    if charges and charges.likely > terms.quote_over:
        card += f"\n{point_words.about(charges.likely)}"
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
        payer=payer,
        settles=terms.settles,
        group=terms.group,
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


def shared_by(group: str) -> str:
    """The key of a group's workload."""
    return f"group:{group}"


async def _occupy(tx: Tx, whose: str, order: str, jobs: int, most: Bounds, said: words.Limits) -> int:
    """One more open order of theirs, written so that two at once cannot both be the last; returns their open jobs before it."""
    load = await tx.get(WORKLOADS, whose) or Workload(key=whose)
    day = tx.now.date().isoformat()
    today = load.today if load.day == day else 0
    if most.open_orders and len(load.orders) >= most.open_orders:
        raise BadInput(said.at_once(most.open_orders))
    if most.daily_orders and today >= most.daily_orders:
        raise BadInput(said.a_day(most.daily_orders, tx.now))
    more = replace(load, orders=(*load.orders, order), jobs=load.jobs + jobs, day=day, today=today + 1)
    await (tx.replace(WORKLOADS, more) if load.version else tx.insert(WORKLOADS, more))
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


def draft(wanted: Wanted, person: str, to: Address, now: datetime) -> Job:
    """The job as it would be ordered now, with no key and no order yet."""
    return Job(
        key="",
        order="",
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
        created=now,
        expires=now,
    )


async def end(tx: Tx, job: Job, state: Literal["failed", "expired", "cancelled"], sentence: str) -> Job:
    """A job that gives nothing: words to its person, its place given back."""
    return await close(tx, job, state, Reply(text=words.ended_badly(job, state, sentence)), words_=sentence)


async def close(tx: Tx, job: Job, state: State, reply: Reply, *, words_: str = "", begin: Begin = as_it_is) -> Job:
    """The job's last transaction: its state, what it costs, what is said, and the order when it was its last job."""
    ended = replace(
        job, state=state, open=False, ready=False, owner="", due=None, ended=tx.now, words=words_, seen=None
    )
    order = await tx.get(ORDERS, job.order)
    if order is None:
        return await tx.replace(JOBS, ended)
    others = [await tx.get(JOBS, key) for key in order.jobs if key != job.key]
    is_last = not any(other.open for other in others if other)
    closed = await tx.replace(JOBS, await _pay(tx, order, ended, list(filter(None, others)), is_last=is_last))
    if order.jobs[0] == job.key:  # variations are one run
        await remember_run(tx, job.person, job.key)
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


async def _pay(tx: Tx, order: Order, ended: Job, others: Sequence[Job], *, is_last: bool) -> Job:
    """The job with what it cost. What settles as a whole costs nothing unless every job is done."""
    if order.payer is None:
        return ended
    if order.settles == "each":
        (charged,) = await settle(tx, order.key, order.payer, [_run_of(ended)], actor=order.person, is_last=is_last)
        return replace(ended, cost=charged.cost, written_off=charged.written_off)
    if not is_last:
        return ended
    jobs = [ended, *others]
    is_whole = all(job.state == "done" for job in jobs)
    runs = [_run_of(job) if is_whole else Run(job=job.key, share=job.share) for job in jobs]
    first, *rest = await settle(tx, order.key, order.payer, runs, actor=order.person, is_last=True)
    for job, charged in zip(others, rest, strict=True):
        await tx.replace(JOBS, replace(job, cost=charged.cost, written_off=charged.written_off))
    return replace(ended, cost=first.cost, written_off=first.written_off)


def _run_of(job: Job) -> Run:
    is_paid = job.state == "done" and job.price is not None
    return Run(
        job=job.key, share=job.share, cost=job.price.cost(job.run_ms, job.tokens) if is_paid and job.price else 0
    )


async def _leave(tx: Tx, order: Order, *, is_last: bool) -> None:
    """One open job less, and with the last one an open order less: of this person, of their group, and of all."""
    for whose in (order.person, *([shared_by(order.group)] if order.group else [])):
        load = await tx.get(WORKLOADS, whose)
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
