"""Sketches to test with: a workshop that runs one graph at a time, a server on a real socket, and small graphs."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import websockets

from chatelier.plugins.sketch.engine import Message, Sight
from chatelier.plugins.sketch.faults import Faults, parse
from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.server import create_app
from chatelier.plugins.sketch.serving import listener
from chatelier.plugins.sketch.workshop import Workshop

DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "golden"
WORKFLOWS = DATA / "workflows"
TRANSCRIPTS = DATA / "comfyui"
PATIENCE = 60
"""Seconds until a test that waits for a job gives up."""


def transcript(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TRANSCRIPTS / name).read_text().splitlines()]


def workflow(name: str) -> dict[str, Any]:
    graph: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text())
    return graph


def node(kind: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def tiny(seed: int = 1, prefix: str = "tiny") -> dict[str, Any]:
    """Three nodes, 64 x 64."""
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=3368601),
        "2": node("ImageAddNoise", image=["1", 0], seed=seed, strength=0.5),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
    }


def text_to_image(
    prompt: str = "a red fox in the snow", *, seed: int = 7, steps: int = 4, side: int = 64, batch: int = 1
) -> dict[str, Any]:
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="sketch.safetensors"),
        "5": node("EmptyLatentImage", width=side, height=side, batch_size=batch),
        "6": node("CLIPTextEncode", text=prompt, clip=["4", 1]),
        "7": node("CLIPTextEncode", text="", clip=["4", 1]),
        "3": node(
            "KSampler", seed=seed, steps=steps, cfg=8, sampler_name="euler", scheduler="normal", denoise=1,
            model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="picture"),
    }  # fmt: skip


class Bench:
    """A workshop whose `run` waits for the end of the job."""

    def __init__(self, root: Path, models: Models, faults: Faults, seconds: float) -> None:
        self.root = root
        self.heard: list[Message | Sight] = []
        self._ended = threading.Event()
        self.shop = Workshop(root, models, tell=self._hear, faults=faults, seconds=seconds)

    def _hear(self, message: Message | Sight) -> None:
        self.heard.append(message)
        if isinstance(message, Message) and message.type == "executing" and message.data["node"] is None:
            self._ended.set()

    def run(self, graph: Mapping[str, Any]) -> dict[str, Any]:
        """The job's history."""
        self.heard.clear()
        self._ended.clear()
        accepted = self.shop.submit(graph, extra={"client_id": "bench"})
        assert self._ended.wait(PATIENCE)
        found = self.shop.history(accepted.id)
        assert found is not None
        return found

    def kinds(self) -> list[str]:
        return [message.type for message in self.heard if isinstance(message, Message)]

    def said(self, kind: str) -> list[Mapping[str, Any]]:
        return [message.data for message in self.heard if isinstance(message, Message) and message.type == kind]

    def files(self, history: Mapping[str, Any]) -> list[Path]:
        places = [
            place
            for node_id in sorted(history["outputs"], key=int)
            for place in history["outputs"][node_id].get("images", ())
        ]
        return [self.root / place["type"] / place["subfolder"] / place["filename"] for place in places]


@contextmanager
def bench(
    root: Path, *, models: Models | None = None, faults: Sequence[str] = (), seconds: float = 0
) -> Iterator[Bench]:
    made = Bench(root, models or Models(), parse(faults), seconds)
    made.shop.start()
    try:
        yield made
    finally:
        made.shop.stop()


class Served:
    """A running sketch server and a client for it."""

    def __init__(self, port: int, http: httpx.AsyncClient) -> None:
        self.port = port
        self.http = http

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    async def submit(self, graph: Mapping[str, Any], **more: Any) -> str:
        answer = await self.post("/prompt", {"prompt": graph, **more})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prompt_id"])

    def socket(self, client: str, path: str = "/ws") -> Any:
        return websockets.connect(f"ws://127.0.0.1:{self.port}{path}?clientId={client}", max_size=None)

    async def history(self, prompt_id: str) -> Any:
        return (await self.http.get(f"/history/{prompt_id}")).json().get(prompt_id)


@asynccontextmanager
async def served(
    root: Path, *, models: Models | None = None, faults: Sequence[str] = (), seconds: float = 0
) -> AsyncIterator[Served]:
    app = create_app(root, models=models, faults=parse(faults), seconds=seconds)
    listening = listener("127.0.0.1", 0)
    config = uvicorn.Config(
        app, log_level="critical", ws="websockets-sansio", lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    port = listening.getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http:
            yield Served(port, http)
    finally:
        server.should_exit = True
        await running
        listening.close()


async def heard_until_end(connection: Any, prompt_id: str) -> list[Any]:
    """JSON messages and binary frames until `executing null` of the job."""
    heard: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        async for frame in connection:
            heard.append(frame if isinstance(frame, bytes) else json.loads(frame))
            if heard[-1] == {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}:
                break
    return heard
