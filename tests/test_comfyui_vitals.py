"""What a ComfyUI server says of itself, asked for every second."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from chatelier import Description, Unavailable
from chatelier.plugins.comfyui.server import ComfyServer
from chatelier.plugins.comfyui.vitals import ASK_SECONDS, CLASSES_SECONDS
from chatelier.testing import FakeClock
from comfyui import FAST, attempt, server, serving
from peers.comfyui import ComfyPeer, answer, endless


async def until_waiting(comfy: ComfyServer, jobs: int) -> Description:
    async with asyncio.timeout(5):
        while (now := await comfy.describe()).waiting != jobs:  # noqa: ASYNC110 - nothing tells that an event was heard
            await asyncio.sleep(0)
    return now


async def test_the_queue_of_everybody_is_known_by_events_and_costs_no_call() -> None:
    async with ComfyPeer().live() as peer, serving(peer, FAST, FakeClock()) as comfy:
        assert (await comfy.describe()).waiting == 0
        for remaining in (5, 2):
            await peer.send_status(remaining)
            assert (await until_waiting(comfy, remaining - 1)).running == 1
        await peer.send_status(0)
        assert (await until_waiting(comfy, 0)).running == 0
        assert peer.requests.count("GET /prompt") == 1


async def test_it_is_asked_itself_every_few_seconds_however_much_its_socket_says() -> None:
    clock = FakeClock()
    async with ComfyPeer().live() as peer, serving(peer, FAST, clock) as comfy:
        for _ in range(10):
            await comfy.describe()
            await peer.send_status(3)
            await clock.advance(1)
    assert peer.requests.count("GET /prompt") == 4


async def test_a_frozen_server_with_an_open_socket_is_found_out() -> None:
    clock = FakeClock()
    async with ComfyPeer().live() as peer, serving(peer, FAST, clock) as comfy:
        await comfy.describe()
        peer.thawed.clear()
        await clock.advance(ASK_SECONDS)
        for _ in range(2):
            with pytest.raises(Unavailable, match="in time"):
                await comfy.describe()
        peer.thawed.set()
        assert (await comfy.describe()).running == 0


async def test_without_a_socket_it_is_asked_each_time() -> None:
    async with ComfyPeer(endless).live() as peer:
        comfy = server(peer)
        assert (await comfy.describe()).running == 0
        await comfy.submit(attempt())
        await comfy.submit(attempt())
        now = await comfy.describe()
    assert (now.running, now.waiting) == (1, 1)


async def until_classes(comfy: ComfyServer, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Other ones than these."""
    async with asyncio.timeout(5):
        while (now := (await comfy.describe()).classes) is known:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    return now


async def until_asked(peer: ComfyPeer, times: int) -> None:
    async with asyncio.timeout(5):
        await peer.until(lambda: peer.requests.count("GET /object_info") == times)
        await peer.until(lambda: peer.requests.count("GET /system_stats") >= times)


async def test_the_classes_stay_the_same_object_until_they_change() -> None:
    clock = FakeClock()
    async with ComfyPeer().live() as peer, serving(peer, FAST, clock) as comfy:
        known = (await comfy.describe()).classes
        for times in (2, 3):
            await clock.advance(CLASSES_SECONDS)
            await until_asked(peer, times)
            assert (await comfy.describe()).classes is known
        peer.object_info["NewNode"] = {}
        await clock.advance(CLASSES_SECONDS)
        assert "NewNode" in await until_classes(comfy, known)


async def test_classes_in_another_order_are_the_same() -> None:
    async with ComfyPeer().live() as peer, serving(peer, FAST, clock := FakeClock()) as comfy:
        known = (await comfy.describe()).classes
        peer.object_info = dict(reversed(peer.object_info.items()))
        await clock.advance(CLASSES_SECONDS)
        await until_asked(peer, 2)
        assert (await comfy.describe()).classes is known


async def test_what_was_known_stays_known_when_it_cannot_be_asked_anew() -> None:
    async with ComfyPeer().live() as peer, serving(peer, FAST, clock := FakeClock()) as comfy:
        known = (await comfy.describe()).classes
        peer.faults["GET /object_info"] = answer(500)
        await clock.advance(CLASSES_SECONDS)
        await peer.until(lambda: peer.requests.count("GET /object_info") == 2)
        assert (await comfy.describe()).classes is known
        del peer.faults["GET /object_info"]
        peer.object_info["NewNode"] = {}
        await clock.advance(CLASSES_SECONDS)
        assert "NewNode" in await until_classes(comfy, known)


async def test_the_classes_are_asked_for_once_and_again_after_a_restart() -> None:
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        for _ in range(3):
            known = (await comfy.describe()).classes
        assert peer.requests.count("GET /object_info") == 1
        await peer.kill()
        peer.object_info["NewNode"] = {}
        await peer.start()
        async with asyncio.timeout(5):
            await peer.connected.wait()
        assert "NewNode" in await until_classes(comfy, known)


CARDS = [{"type": "cuda", "vram_total": size} for size in (8_000_000_000, 24_000_000_000)]


@pytest.mark.parametrize(
    ("devices", "memory"),
    [(CARDS, 24_000_000_000), ([{"type": "cpu", "vram_total": 64_000_000_000}], 0), ([], 0), ([{"name": "?"}], 0)],
)
async def test_the_memory_is_that_of_the_largest_card(devices: list[dict[str, Any]], memory: int) -> None:
    async with ComfyPeer().live() as peer:
        peer.devices = devices
        assert (await server(peer).describe()).memory == memory


async def test_what_the_operator_said_of_it_is_told() -> None:
    async with ComfyPeer().live() as peer:
        plain = await server(peer).describe()
        chosen = await server(peer, tags=("big", "video"), weight=2.5, places=4).describe()
    assert (plain.tags, plain.weight, plain.places) == ((), 1.0, 2)
    assert (chosen.tags, chosen.weight, chosen.places) == (("big", "video"), 2.5, 4)
