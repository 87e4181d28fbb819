"""A ComfyDeploy account keeps the contract of every backend."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from backends import Running
from chatelier import Backend, Graph
from chatelier.testing import BACKEND_CHECKS, Bench, MakeBackend
from comfydeploy import account, portrait
from peers.comfydeploy import DeployPeer


class OnPeer:
    outlives = True

    def __init__(self, peer: DeployPeer) -> None:
        self._peer = peer
        self.backend = account(peer)

    def quick(self) -> Graph:
        return portrait("quick")

    def slow(self) -> Graph:
        return portrait("slow")

    def with_file(self, file: str) -> Graph:
        return portrait("quick", input_image=file)

    def failing(self) -> Graph:
        return portrait("failing")

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Backend]:
        running = Running(account(self._peer))
        try:
            yield running.backend
        finally:
            await running.stop()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self._peer.stop()
        yield
        await self._peer.start()


@asynccontextmanager
async def on_account() -> AsyncIterator[Bench]:
    async with DeployPeer().live() as peer:
        bench = OnPeer(peer)
        running = Running(bench.backend)
        try:
            yield bench
        finally:
            await running.stop()


@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__)
async def test_account_keeps_the_contract(check: Callable[[MakeBackend], Awaitable[None]]) -> None:
    await check(on_account)
