"""Who may work on how much at a time."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from chatelier.core.media.turns import PATIENT, Busy, Turns
from chatelier.core.testing.clock import settle


async def test_a_person_waits_for_their_own_and_nobody_elses() -> None:
    turns = Turns(places=1, most=8, each=2)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(turns.take("ada"))
        second = asyncio.create_task(stack.enter_async_context(turns.take("ada")))
        await settle()
        with pytest.raises(Busy, match="2 of yours"):
            await stack.enter_async_context(turns.take("ada"))
        bob = asyncio.create_task(stack.enter_async_context(turns.take("bob")))
        await settle()
        assert not second.done()
        assert not bob.done()
        bob.cancel()
        second.cancel()
        await asyncio.wait({bob, second})
        third = asyncio.create_task(turns.take("ada").__aenter__())  # the cancelled one counts no more
        await settle()
        assert not third.done()
        third.cancel()
    async with turns.take("ada"):
        pass


async def test_the_queue_has_an_end_but_for_those_whom_nobody_waits_for() -> None:
    turns = Turns(places=1, most=1, each=3)
    async with turns.take("ada"):
        behind = asyncio.create_task(turns.take("bob").__aenter__())
        await settle()
        with pytest.raises(Busy, match="Many pictures"):
            await turns.take("cleo").__aenter__()
        patient = asyncio.create_task(turns.take(PATIENT).__aenter__())
        await settle()
        assert not patient.done()
    await behind
    patient.cancel()
    await asyncio.wait({patient})
