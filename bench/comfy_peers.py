"""Drives one public client for `comfy.py`, in an environment of its own: the peers are in it, Chatelier is not.

    python comfy_peers.py CLIENT URL AT_A_TIME JOBS SECONDS < graph.json

prints JSON: seconds of the whole, waits of each job in seconds, and how many failed. No job is begun after so many seconds.
"""

import asyncio
import copy
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[[dict[str, Any]], Awaitable[bytes]]


def comfy_api_simplified(url: str) -> Make:
    """Its calls block, so each has a thread, as its users give it."""
    from comfy_api_simplified import (  # type: ignore[import-not-found] # noqa: PLC0415 - only where it is asked for
        ComfyApiWrapper,
        ComfyWorkflowWrapper,
    )

    client = ComfyApiWrapper(url)

    def make(graph: dict[str, Any]) -> bytes:
        found = client.queue_and_wait_images(ComfyWorkflowWrapper(graph), "Save Image")
        return bytes(next(iter(found.values())))

    return lambda graph: asyncio.to_thread(make, graph)


def comfykit(url: str) -> Make:
    """It answers with addresses; the pictures are downloaded as its page shows it."""
    import aiohttp  # noqa: PLC0415 - as above
    from comfykit import ComfyKit  # type: ignore[import-not-found] # noqa: PLC0415 - as above

    kit = ComfyKit(comfyui_url=url, executor_type="websocket")

    async def make(graph: dict[str, Any]) -> bytes:
        found = await kit.execute_json(graph)
        async with aiohttp.ClientSession() as session, session.get(found.images[0]) as answer:
            return bytes(await answer.read())

    return make


CLIENTS = {"comfy-api-simplified": comfy_api_simplified, "comfykit": comfykit}


async def measure(make: Make, graph: dict[str, Any], at_a_time: int, jobs: int, seconds: float) -> dict[str, Any]:
    """at_a_time: loops that each begin a job when their last one is done."""
    waits: list[float] = []
    failed = 0
    left = iter(range(jobs))
    begun = time.perf_counter()

    async def loop() -> None:
        nonlocal failed
        for _ in left:
            if (since := time.perf_counter()) - begun > seconds:
                return
            mine = copy.deepcopy(graph)
            mine["2"]["inputs"]["seed"] = random.getrandbits(32)
            try:
                picture = await make(mine)
                if not picture.startswith(b"\x89PNG"):
                    raise ValueError("no picture")
            except Exception as error:  # noqa: BLE001 - whatever a peer raises is a job that failed
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                failed += 1
            else:
                waits.append(time.perf_counter() - since)

    await asyncio.gather(*(loop() for _ in range(at_a_time)))
    return {"seconds": time.perf_counter() - begun, "waits": waits, "failed": failed}


async def main() -> None:
    client, url, at_a_time, jobs, seconds = sys.argv[1:]
    graph, make = json.load(sys.stdin), CLIENTS[client](url)
    await measure(make, graph, int(at_a_time), int(at_a_time), float(seconds))  # warm
    print(json.dumps(await measure(make, graph, int(at_a_time), int(jobs), float(seconds))))


if __name__ == "__main__":
    asyncio.run(main())
