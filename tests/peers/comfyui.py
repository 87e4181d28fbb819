"""A ComfyUI server to test against: it answers as the recorded one did, does what a script says, and has its faults.

It imports nothing of ours. Graphs are not computed: a script plays what happens to a job.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from peers.serving import PeerServer

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
RECORDED_PAUSE = 0.003
TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"


@dataclass
class Job:
    number: int
    id: str
    graph: dict[str, Any]
    client: str | None
    messages: list[list[Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def item(self) -> list[Any]:
        return [self.number, self.id, self.graph, {"client_id": self.client}, [], {"a newer": "field"}]


Script = Callable[["ComfyPeer", Job], Awaitable[None]]
Fault = Callable[[Request], Awaitable[Response | None]]


class ComfyPeer:
    """faults: "POST /prompt" → what answers instead; None from it lets the request through.

    thawed: cleared, the server is frozen: its socket stays open, and all it had to say comes once it is set again.
    mute: it forgets its sockets: they stay open, and nothing comes. has_jobs: it is newer, and has `/api/jobs`.
    asks_who: the certificates of those who sign for callers. large: places of files that are made while they are sent, and bytes.
    """

    def __init__(
        self, script: Script | None = None, *, certificate: Path | None = None, asks_who: Path | None = None
    ) -> None:
        self.certificate = certificate
        self.asks_who = asks_who
        self.has_jobs = False
        self.devices: list[dict[str, Any]] = [
            {"name": "cuda:0 A Card", "type": "cuda", "vram_total": 24_000_000_000, "vram_free": 20_100_000_000}
        ]
        self.large: dict[tuple[str, str, str], int] = {}
        self.refuses_sockets = False
        self.script: Script = script or happy
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.port = 0
        self.mute = False
        self.number = 0
        self.object_info: dict[str, Any] = {"SaveImage": {"output_node": True}, "EmptyImage": {"output_node": False}}
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.connected = asyncio.Event()
        self.flags: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.sockets: dict[str, WebSocket] = {}
        self._server: _Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self.thawed = asyncio.Event()
        self.thawed.set()
        self._forget()

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def _forget(self) -> None:
        self.pending: list[Job] = []
        self.running: Job | None = None
        self.history: dict[str, dict[str, Any]] = {}
        self._work = asyncio.Event()

    # --- its life

    async def start(self) -> None:
        # asyncio turns Nagle's algorithm off only for sockets that name their protocol; with it each answer takes 40 ms.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self._app(),
            ssl_certfile=self.certificate,
            ssl_ca_certs=str(self.asks_who) if self.asks_who else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if self.asks_who else ssl.CERT_NONE,
            log_config=None,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=2**30,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._tasks = [
            asyncio.create_task(self._server.serve(sockets=[listening])),
            asyncio.create_task(self._execute()),
        ]
        await self._server.up.wait()

    async def kill(self) -> None:
        """As by SIGKILL: connections break, memory and temporary files are gone, saved files stay."""
        assert self._server is not None
        for listening in self._server.servers:
            listening.close()
        self._abort()
        self._server.force_exit = True
        self._server.down.set()
        self._tasks[1].cancel()
        serving, executing = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._abort()
        assert serving is None, serving
        assert isinstance(executing, asyncio.CancelledError), executing
        self.connected.clear()
        self.sockets.clear()
        self.files = {place: data for place, data in self.files.items() if place[2] != "temp"}
        self._forget()
        self._tasks = []

    def _abort(self) -> None:
        assert self._server is not None
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def until(self, check: Callable[[], bool]) -> None:
        """Wait for something that comes about by a request or a socket."""
        while not check():
            self._news.clear()
            await self._news.wait()

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator["ComfyPeer"]:
        await self.start()
        try:
            yield self
        finally:
            if self._tasks:
                await self.kill()

    def _app(self) -> Starlette:
        routes = {
            "GET /prompt": self._load,
            "POST /prompt": self._prompt,
            "GET /queue": self._queue,
            "POST /queue": self._delete,
            "POST /interrupt": self._interrupt,
            "GET /history/{id}": self._history,
            "POST /upload/image": self._upload,
            "GET /view": self._view,
            "GET /object_info": self._object_info,
            "GET /system_stats": self._stats,
            "POST /free": self._free,
            "GET /api/jobs/{id}": self._job,
            "POST /api/jobs/{id}/cancel": self._cancel_job,
        }
        found: list[Route | WebSocketRoute] = [WebSocketRoute("/ws", self._socket)]
        for key, endpoint in routes.items():
            method, _, path = key.partition(" ")
            found.append(Route(path, self._faulty(key.replace("/{id}", ""), endpoint), methods=[method]))
        return Starlette(routes=found)

    def _faulty(
        self, key: str, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            await self.thawed.wait()
            self.requests.append(key)
            self._news.set()
            self.headers.append(dict(request.headers))
            fault = self.faults.get(key)
            return (await fault(request) if fault else None) or await endpoint(request)

        return answer

    # --- HTTP

    async def _load(self, _: Request) -> Response:
        return JSONResponse({"exec_info": {"queue_remaining": len(self.pending) + (self.running is not None)}})

    async def _prompt(self, request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"prompt_id": self.enqueue(body).id, "number": self.number, "node_errors": {}})

    def enqueue(self, body: dict[str, Any]) -> Job:
        self.bodies.append(body)
        self.number += 1
        job = Job(self.number, body.get("prompt_id") or str(uuid.uuid4()), body["prompt"], body.get("client_id"))
        self.pending.insert(0, job)  # the queue is a heap: its list has no order to rely on
        self._work.set()
        return job

    async def _queue(self, _: Request) -> Response:
        running = [self.running.item] if self.running else []
        return JSONResponse({"queue_running": running, "queue_pending": [job.item for job in self.pending]})

    async def _delete(self, request: Request) -> Response:
        gone = (await request.json()).get("delete", [])
        self.pending = [job for job in self.pending if job.id not in gone]
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        asked = (await request.json()).get("prompt_id")
        if self.running and asked in {None, self.running.id}:
            self.running.interrupted.set()
        return Response()

    async def _history(self, request: Request) -> Response:
        key = request.path_params["id"]
        return JSONResponse({key: self.history[key]} if key in self.history else {})

    async def _upload(self, request: Request) -> Response:
        form = await request.form()
        image, subfolder = form["image"], str(form.get("subfolder", ""))
        assert not isinstance(image, str)
        data, name, n = await image.read(), image.filename or "x", 0
        stem, _, ending = name.rpartition(".")
        while self.files.get((name, subfolder, "input"), data) != data:
            n += 1
            name = f"{stem} ({n}).{ending}"
        self.files[name, subfolder, "input"] = data
        await form.close()
        return JSONResponse({"name": name, "subfolder": subfolder, "type": "input"})

    async def _view(self, request: Request) -> Response:
        ask = request.query_params
        place = (ask["filename"], ask.get("subfolder", ""), ask.get("type", "output"))
        if place in self.large:
            return StreamingResponse(self._pieces(self.large[place]), media_type="application/octet-stream")
        data = self.files.get(place)
        return Response(status_code=404) if data is None else Response(data, media_type="image/png")

    async def _pieces(self, size: int) -> AsyncIterator[bytes]:
        piece = bytes(65536)
        for sent in range(0, size, len(piece)):
            yield piece[: size - sent]

    async def _object_info(self, _: Request) -> Response:
        return JSONResponse(self.object_info)

    async def _stats(self, _: Request) -> Response:
        return JSONResponse({"system": {"comfyui_version": "0.3.64", "os": "posix"}, "devices": self.devices})

    async def _free(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        return Response()

    async def _job(self, request: Request) -> Response:
        key = request.path_params["id"]
        if not self.has_jobs:
            return PlainTextResponse("404: Not Found", 404)
        if (entry := self.history.get(key)) is not None:
            status = "completed" if entry["status"]["completed"] else "failed"
            found = {"outputs": entry["outputs"], "execution_status": entry["status"], "workflow": {}}
            return JSONResponse({"id": key, "status": status, "priority": 1, "outputs_count": 1, **found})
        if self.running and self.running.id == key:
            return JSONResponse({"id": key, "status": "in_progress", "priority": 1, "outputs_count": 0})
        if any(job.id == key for job in self.pending):
            return JSONResponse({"id": key, "status": "pending", "priority": 1, "outputs_count": 0})
        return JSONResponse({"error": "Job not found"}, 404)

    async def _cancel_job(self, request: Request) -> Response:
        key = request.path_params["id"]
        if not self.has_jobs:
            return PlainTextResponse("404: Not Found", 404)
        self.pending = [job for job in self.pending if job.id != key]
        if self.running and self.running.id == key:
            self.running.interrupted.set()
        return JSONResponse({"cancelled": True})

    # --- the socket

    async def _socket(self, ws: WebSocket) -> None:
        client = ws.query_params.get("clientId") or uuid.uuid4().hex
        self.requests.append("GET /ws")
        if self.refuses_sockets:
            self._news.set()
            await ws.close()
            return
        await ws.accept()
        self.sockets[client] = ws
        self.headers.append(dict(ws.headers))
        status = {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client}
        await ws.send_text(json.dumps({"type": "status", "data": status}))
        try:
            self.flags.append(json.loads(await ws.receive_text()))
            self.connected.set()
            self._news.set()
            while True:
                await ws.receive()
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self.sockets.pop(client, None)
            self._news.set()

    async def send(self, job: Job, kind: str, **data: Any) -> None:
        """One event about a job, to where it belongs: its client, or everybody when it has none."""
        data = {"prompt_id": job.id, **data}
        if kind.startswith("execution_"):
            data["timestamp"] = time.time_ns() // 1_000_000
            job.messages.append([kind, data])
        await self.send_raw(job, json.dumps({"type": kind, "data": data}))

    async def send_raw(self, job: Job, message: str | bytes) -> None:
        await self.thawed.wait()
        targets = list(self.sockets.values()) if job.client is None else [self.sockets.get(job.client)]
        for ws in targets if not self.mute else []:
            if ws is not None:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await (ws.send_bytes(message) if isinstance(message, bytes) else ws.send_text(message))

    async def send_status(self, remaining: int) -> None:
        """To everybody: the queue became longer or shorter."""
        message = {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": remaining}}}}
        for ws in list(self.sockets.values()):
            await ws.send_text(json.dumps(message))

    # --- jobs

    async def _execute(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self.pending:
                job = self.running = min(self.pending, key=lambda job: job.number)
                self.pending.remove(job)
                await self.script(self, job)
                self.running = None

    async def save(
        self, job: Job, node: str, *files: tuple[str, str, str], key: str = "images", data: bytes = PNG
    ) -> None:
        """A node says that it is done with these files: (name, subfolder, type)."""
        self.files |= dict.fromkeys(files, data)
        names = [dict(zip(("filename", "subfolder", "type"), file, strict=True)) for file in files]
        job.outputs[node] = {key: names}
        await self.send(job, "executed", node=node, display_node=node, output=job.outputs[node])

    def file(self, job: Job, status: str = "success") -> None:
        """Put it into the history."""
        state = {"status_str": status, "completed": status == "success", "messages": job.messages}
        self.history[job.id] = {"prompt": job.item, "outputs": job.outputs, "status": state, "meta": {}}
        self.running = None

    async def begin(self, job: Job, cached: tuple[str, ...] = ()) -> None:
        await self.send(job, "execution_start")
        await self.send(job, "execution_cached", nodes=list(cached))

    async def succeed(self, job: Job) -> None:
        await self.send(job, "execution_success")
        self.file(job)
        await self.send(job, "executing", node=None)


def prefix_of(job: Job) -> str:
    return next(
        (str(b["inputs"]["filename_prefix"]) for b in job.graph.values() if "filename_prefix" in b["inputs"]), "x"
    )


async def happy(peer: ComfyPeer, job: Job) -> None:
    """Each node runs; each that saves leaves one file."""
    await peer.begin(job)
    for node, body in job.graph.items():
        await peer.send(job, "executing", node=node, display_node=node)
        if "filename_prefix" in body["inputs"]:
            subfolder, _, stem = str(body["inputs"]["filename_prefix"]).rpartition("/")
            await peer.save(job, node, (f"{stem}_00001_.png", subfolder, "output"))
    await peer.succeed(job)


async def endless(peer: ComfyPeer, job: Job) -> None:
    """Runs its first node until somebody interrupts it."""
    await peer.begin(job)
    await peer.send(job, "executing", node=next(iter(job.graph)), display_node=next(iter(job.graph)))
    await job.interrupted.wait()
    await peer.send(job, "execution_interrupted", node_id="1", node_type="X", executed=[])
    peer.file(job, "error")
    await peer.send(job, "executing", node=None)


def preview(image: bytes) -> bytes:
    return struct.pack(">II", 1, 2) + image


def preview_with_metadata(image: bytes, **metadata: Any) -> bytes:
    head = json.dumps(metadata).encode()
    return struct.pack(">II", 4, len(head)) + head + image


def node_text(node: str, text: str) -> bytes:
    return struct.pack(">II", 3, len(node)) + node.encode() + text.encode()


# --- what a real server said


@dataclass
class Run:
    """One recorded job. history: as it was answered, None when nobody asked."""

    id: str
    graph: dict[str, Any]
    messages: list[dict[str, Any]]
    history: dict[str, Any] | None


def recorded_runs(transcript: Path) -> list[Run]:
    entries = _entries(transcript)
    runs = []
    for start, entry in enumerate(entries):
        if entry.get("req") == "POST /prompt" and entry["status"] == 200:
            id_ = entry["response"]["prompt_id"]
            later = entries[start + 1 :]
            again = next((n for n, e in enumerate(later) if _posted(e) == id_), len(later))
            messages = [e["msg"] for e in later[:again] if e.get("dir") == "ws" and _about(e) == id_]
            found = (e["response"].get(id_) for e in later[:again] if e.get("req") == f"GET /history/{id_}")
            runs.append(Run(id_, entry["body"]["prompt"], messages, next(found, None)))
    return runs


def recorded_rejections(transcript: Path) -> Iterator[tuple[str, dict[str, Any], int, Any]]:
    """Note, graph, status and body of each recorded `POST /prompt`."""
    note = ""
    for entry in _entries(transcript):
        note = entry.get("note", note)
        if entry.get("req") == "POST /prompt" and isinstance(entry["body"], dict):
            yield note, entry["body"].get("prompt", {}), entry["status"], entry["response"]


def replay(run: Run) -> Script:
    """The recorded events with the new job's id in place of the recorded one."""

    async def play(peer: ComfyPeer, job: Job) -> None:
        for message in run.messages:
            if message["type"] == "executing" and message["data"]["node"] is None and run.history is not None:
                peer.history[job.id] = json.loads(json.dumps(run.history).replace(run.id, job.id))
                peer.running = None
            await peer.send_raw(job, json.dumps(message).replace(run.id, job.id))
            await asyncio.sleep(RECORDED_PAUSE)

    return play


def _entries(transcript: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in transcript.read_text().splitlines()]


def _posted(entry: dict[str, Any]) -> str:
    posted = entry.get("req") == "POST /prompt" and entry["status"] == 200
    return str(entry["response"]["prompt_id"]) if posted else ""


def _about(entry: dict[str, Any]) -> str:
    message = entry.get("msg")
    return str(message.get("data", {}).get("prompt_id", "")) if isinstance(message, dict) else ""


class _Server(PeerServer):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.down = asyncio.Event()

    async def main_loop(self) -> None:
        await self.down.wait()


def answer(status: int, body: Any = None, *, kind: str = "application/json", **headers: str) -> Fault:
    """Answer so, whatever was asked."""

    async def fault(_: Request) -> Response:
        content = json.dumps(body) if kind == "application/json" else str(body)
        return Response(content, status, headers, kind)

    return fault


async def silence(_: Request) -> Response:
    """Never answer."""
    await asyncio.Event().wait()
    return PlainTextResponse(TROUBLE)
