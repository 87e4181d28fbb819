"""What the commands do."""

from collections.abc import Sequence

from chatelier import (
    BadInput,
    Button,
    Call,
    Called,
    Pack,
    Reply,
    Said,
    Tx,
    bill,
    claim,
    donate,
    free_in,
    give,
    grant,
    group_of,
    held_in,
    millipoints,
    mode_of,
    new_code,
    offered,
    person_by,
    pool_of,
    purchased_of,
    redeem,
    sale_of,
    set_mode,
    store_action,
    take_back,
    token,
    wrap,
)

from . import words

LINES = 15


async def account(call: Call) -> None:
    report = await call.runtime.points.report(call.person)
    await call.commit(None, Reply(text=words.account(report, call.runtime.clock.now()), private=True))


async def points(call: Call) -> None:
    """By the name of each kind."""
    await call.commit(None, Reply(text=words.kinds(await call.runtime.points.report(call.person)), private=True))


async def show_history(call: Call) -> None:
    entries, accounts = await call.runtime.points.history(call.person, int(call.values.get("lines") or LINES))
    text = words.history(entries, accounts) or words.NOTHING_YET
    await call.commit(None, Reply(text=text, private=True))


async def gift(call: Call) -> None:
    """To the person whose message is answered, or who is named; else as a code."""
    amount, named = millipoints(str(call.values["amount"])), str(call.values.get("to") or "").strip()
    handle = named or await _answered(call)
    if not handle:
        if not call.chat.direct:  # a code is shown once, and here it might be shown to all, or to nobody
            raise BadInput(words.CODE_IN_PRIVATE)
        await _as_code(call, amount)
        return
    person = await person_by(call.runtime.store, handle)
    if person is None:
        raise BadInput(words.unknown(handle))

    async def work(tx: Tx) -> None:
        await give(tx, call.person.key, person.key, amount, key=call.arrival.key)

    await call.commit(work, Reply(text=words.given(amount, person.name or handle)))


async def _as_code(call: Call, amount: int) -> None:
    code = new_code()

    async def work(tx: Tx) -> None:
        await wrap(tx, call.person.key, code, amount, key=call.arrival.key)

    await call.commit(work, Reply(text=words.wrapped(amount, code), private=True))


async def donate_to_group(call: Call) -> None:
    group, amount = _group(call), millipoints(str(call.values["amount"]))

    async def work(tx: Tx) -> Reply:
        await donate(tx, call.person.key, group, amount, key=call.arrival.key)
        return Reply(text=words.donated(amount, await free_in(tx, pool_of(group)), await mode_of(tx, group)))

    await call.commit(work)


async def redeem_code(call: Call) -> None:
    """A code, or else what was bought elsewhere."""
    code = str(call.values.get("code") or "").strip()

    async def work(tx: Tx) -> Reply:
        if code:
            return Reply(text=words.redeemed(await redeem(tx, call.person.key, code)), private=True)
        amount = await claim(tx, call.person.key, key=call.arrival.key)
        if not amount:
            raise BadInput(words.NOTHING_WAITS)
        return Reply(text=words.redeemed(amount), private=True)

    await call.commit(work)


async def buy(call: Call) -> None:
    """A bill for a pack, or a button for each pack that there is."""
    packs = offered(call.runtime.payments, call.chat)
    wanted = int(call.values.get("pack") or 0)
    if not packs:
        raise BadInput(words.NO_PAYMENTS)
    if not 0 <= wanted <= len(packs):
        raise BadInput(words.packs(packs))
    if not wanted and len(packs) > 1:
        await _offer(call, len(packs), packs)
        return
    provider, pack = packs[max(0, wanted - 1)]

    async def work(tx: Tx) -> Reply:
        invoice = await bill(
            tx, provider, pack, account=call.chat.platform, person=call.person.key, sender=call.event.sender
        )
        return Reply(text=words.bill(pack), invoice=invoice)

    await call.commit(work)


async def _offer(call: Call, count: int, packs: Sequence[tuple[str, Pack]]) -> None:
    keys = [token() for _ in range(count)]

    async def work(tx: Tx) -> None:
        for n, key in enumerate(keys, 1):
            await store_action(tx, "buy", {"pack": n}, person=call.event.sender, key=key)

    rows = tuple(
        (Button(label=words.for_sale(pack), payload=f"a.{key}"),) for key, (_, pack) in zip(keys, packs, strict=True)
    )
    await call.commit(work, Reply(text=words.packs(packs), buttons=rows))


async def refund(call: Call) -> None:
    """An operator's: the provider gives the money back first, so that a crash between leaves the ledger to be told again."""
    sale = await sale_of(call.runtime.store, str(call.values["payment"]).strip())
    if await held_in(call.runtime.store, purchased_of(sale.person)):
        raise BadInput(words.REFUND_LATER)
    provider = call.runtime.payments.get(sale.provider)
    if provider is None:
        raise BadInput(words.no_provider(sale.provider))
    await provider.refund(sale)
    reason = str(call.values.get("reason") or "")

    async def work(tx: Tx) -> Reply:
        taken = await take_back(tx, sale, actor=call.event.sender, reason=reason)
        return Reply(text=words.refunded(sale, taken), private=True)

    await call.commit(work)


async def group(call: Call) -> None:
    """How this group pays; its admins change that."""
    key, mode = _group(call), str(call.values.get("mode") or "")

    async def work(tx: Tx) -> Reply:
        if mode:
            await set_mode(tx, key, mode)
        return Reply(text=words.group(await mode_of(tx, key), await free_in(tx, pool_of(key))))

    if mode and not (call.event.admin or call.operator):
        raise BadInput(words.ADMINS_ONLY)
    await call.commit(work)


async def grant_points(call: Call) -> None:
    """An operator's."""
    amount, handle = millipoints(str(call.values["amount"])), str(call.values["to"]).strip()
    person = await person_by(call.runtime.store, handle)
    if person is None:
        raise BadInput(words.unknown(handle))
    account, reason = purchased_of(person.key), str(call.values.get("reason") or "")

    async def work(tx: Tx) -> Reply:
        await grant(tx, account, amount, key=call.arrival.key, actor=call.event.sender, reason=reason)
        return Reply(text=words.granted(amount, person.name or handle, await free_in(tx, account)), private=True)

    await call.commit(work)


def _group(call: Call) -> str:
    found = group_of(call.chat)
    if not found:
        raise BadInput(words.NOT_A_GROUP)
    return found


async def _answered(call: Call) -> str:
    """The handle of whoever wrote the message that is answered; "" where none is, or nobody knows."""
    body = call.event.body
    if isinstance(body, Said) and body.answered:
        return body.answered
    if isinstance(body, Said | Called) and body.reply_to:
        arrival = await call.runtime.inbox.by_message(call.chat.platform, body.reply_to)
        return arrival.event.sender if arrival else ""
    return ""
