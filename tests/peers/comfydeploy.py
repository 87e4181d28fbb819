"""A ComfyDeploy account to test against: it answers the vendor's JSON literally, and has its faults.

It imports nothing of ours. Nothing is computed: what a run is asked to do stands in its prompt.
"""

import asyncio
import contextlib
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from peers.serving import PeerServer

KEY = "cd-test-key"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
TERMINAL = ("success", "failed", "timeout", "cancelled")
RETRY_SECONDS = (0.05, 0.1)
"""Between the tries of a webhook; the vendor waits 0.5 and 1 s."""

Fault = Callable[[Request], Awaitable[Response | None]]
Webhook = dict[str, Any]

PORTRAIT = json.loads("""
{
  "id": "dep-portrait-1", "user_id": "user_1", "org_id": null, "workflow_version_id": "ver-7", "workflow_id": "wf-portrait",
  "machine_id": "mach-1", "share_slug": null, "description": "A portrait from words.", "environment": "production",
  "gpu": "A10G", "concurrency_limit": 2, "run_timeout": 300,
  "created_at": "2026-10-01T08:00:00.000Z", "updated_at": "2026-11-01T08:00:00.000Z",
  "workflow": {"id": "wf-portrait", "name": "Portrait Studio"},
  "input_types": [
    {"type": "string", "class_type": "ComfyUIDeployExternalText", "input_id": "prompt", "default_value": "",
     "min_value": null, "max_value": null, "enum_options": null, "display_name": "Prompt", "description": "What to paint"},
    {"type": "string", "class_type": "ComfyUIDeployExternalText", "input_id": "negative_prompt", "default_value": "blurry"},
    {"type": "integer", "class_type": "ComfyUIDeployExternalNumberSliderInt", "input_id": "steps", "default_value": 20,
     "min_value": 1, "max_value": 40},
    {"type": "integer", "class_type": "ComfyUIDeployExternalSeed", "input_id": "input_seed", "default_value": 42},
    {"type": "string", "class_type": "ComfyUIDeployExternalEnum", "input_id": "style", "default_value": "oil",
     "enum_options": ["oil", "ink"]},
    {"type": "string", "class_type": "ComfyUIDeployExternalImage", "input_id": "input_image",
     "default_value": "https://example.com/face.png"}
  ],
  "output_types": [{"class_type": "ComfyDeployOutputImage", "output_id": "image"}],
  "a_newer_field": {"of": ["any", "shape"]}
}
""")
SPARE = PORTRAIT | {"id": "dep-portrait-2", "gpu": "H100", "updated_at": "2026-10-15T08:00:00.000Z"}


@dataclass
class Run:
    id: str
    body: dict[str, Any]
    status: str = "not-started"
    outputs: Any = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    ended: datetime | None = None
    at_end: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def prompt(self) -> str:
        return str(self.body["inputs"].get("prompt", ""))

    def listed(self) -> dict[str, Any]:
        """As the list of runs has it: without what it was queued with."""
        return {
            "id": self.id,
            "status": self.status,
            "created_at": self.created.isoformat(),
            "started_at": self.started.isoformat() if self.started else None,
            "ended_at": self.ended.isoformat() if self.ended else None,
            "workflow_id": "wf-portrait",
            "origin": "api",
            "duration": "12.5",
        }

    def told(self) -> dict[str, Any]:
        whole = {
            **self.listed(),
            "workflow_inputs": self.body["inputs"],
            "webhook": self.body.get("webhook"),
            "gpu": self.body.get("gpu", "A10G"),
            "machine_id": "mach-1",
            "queued_at": self.created.isoformat(),
            "live_status": None,
            "progress": 0,
            "outputs": self.outputs,
            "run_duration": None,
            "cold_start_duration": 2.25,
        }
        return whole | self.more


Script = Callable[["DeployPeer", Run], Awaitable[None]]


async def usual(peer: "DeployPeer", run: Run) -> None:
    """Every state in turn, and a picture, the one that was sent if there is one; "slow" runs until it is cancelled, "failing" fails."""
    await peer.move(run, "queued")
    await peer.move(run, "running", live_status="Executing KSampler", progress=0.25)
    if run.prompt == "slow":
        await run.at_end.wait()
        return
    if run.prompt == "failing":
        error = {"type": "execution_error", "node_type": "KSampler", "exception_message": "it went wrong"}
        peer.finish(run, [{"data": {"error": error}}], "failed")
        return
    await peer.move(run, "uploading", progress=1)
    sent = peer.uploads.get(str(run.body["inputs"].get("input_image")), PNG)
    peer.finish(run, [peer.output(f"{run.id}.png", sent)])
    await peer.settled(run)


class DeployPeer:
    """An account with two deployments of one workflow.

    faults: "POST /run/deployment/queue" → what answers instead; None from it lets the request through.
    is_old: it has the older calls only. queues_then_fails: the run is queued, and the answer is a 500.
    hold_answer: cleared, the answer to a queue call waits, while webhooks already go out. silent: no webhooks.
    webhooks: what is sent for each message, in place of once as it is. sent: webhook → the status that came back.
    signature: of the files' addresses; those with another one have expired.
    """

    def __init__(self, script: Script = usual, *, is_old: bool = False) -> None:
        self.script = script
        self.is_old = is_old
        self.port = 0
        self.deployments: Any = [PORTRAIT, SPARE]
        self.missing: set[str] = set()
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.runs: dict[str, Run] = {}
        self.files: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.signature = "1"
        self.silent = False
        self.queues_then_fails = False
        self.hold_answer = asyncio.Event()
        self.hold_answer.set()
        self.webhooks: Callable[[str, Webhook], list[tuple[str, Webhook]]] = lambda url, said: [(url, said)]
        self.sent: list[tuple[str, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._client = httpx.AsyncClient(trust_env=False, timeout=5)
        self._server: PeerServer | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    # --- its life

    async def start(self) -> None:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(self._app(), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server = PeerServer(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        await self._server.up.wait()

    async def stop(self) -> None:
        """Nothing answers any more; what it knows stays."""
        assert self._server is not None
        assert self._serving is not None
        self._server.should_exit = self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await self._serving

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator["DeployPeer"]:
        await self.start()
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._client.aclose()
            await self.stop()

    async def until(self, check: Callable[[], Any]) -> None:
        """Wait for something that comes about by a request or a webhook."""
        async with asyncio.timeout(10):
            while not check():
                self._news.clear()
                await self._news.wait()

    def _app(self) -> Starlette:
        calls = {
            "POST /run/deployment/queue": self._queue,
            "GET /run/{id}": self._run,
            "POST /run/{id}/cancel": self._cancel,
            "POST /file/upload": self._upload,
            "GET /deployments": self._deployments,
            "GET /v2/workflow/{id}/runs": self._runs,
        }
        old = {
            "POST /run": self._queue,
            "GET /run": self._old_run,
            "POST /file": self._old_file,
        }
        routes = [
            Route("/api" + path, self._faulty(f"{method} {path}", endpoint), methods=[method])
            for key, endpoint in (old if self.is_old else calls).items()
            for method, path in [key.split(" ")]
        ]
        routes.append(Route("/store/{name:path}", self._put, methods=["PUT"]))
        routes.append(Route("/store/{name:path}", self._file, methods=["GET"]))
        return Starlette(routes=routes)

    def _faulty(
        self, key: str, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            self.requests.append(key)
            self.headers.append(dict(request.headers))
            self._news.set()
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                return JSONResponse({"detail": "Invalid or expired token"}, 401)
            fault = self.faults.get(key)
            return (await fault(request) if fault else None) or await endpoint(request)

        return answer

    # --- calls

    async def _deployments(self, _: Request) -> Response:
        return JSONResponse(self.deployments)

    async def _queue(self, request: Request) -> Response:
        body = await request.json()
        if body["deployment_id"] in self.missing:
            return JSONResponse({"detail": "Deployment not found"}, 404)
        run = Run(str(uuid.uuid4()), body)
        self.bodies.append(body)
        self.runs[run.id] = run
        self._work(self.script(self, run))
        await self.hold_answer.wait()
        if self.queues_then_fails:
            return Response("Internal Server Error", 500)
        return JSONResponse({"run_id": run.id})

    async def _run(self, request: Request) -> Response:
        run = self.runs.get(request.path_params["id"])
        return JSONResponse({"detail": "Run not found"}, 404) if run is None else JSONResponse(run.told())

    async def _old_run(self, request: Request) -> Response:
        run = self.runs.get(request.query_params["run_id"])
        return JSONResponse({"error": "not found"}, 404) if run is None else JSONResponse(run.told())

    async def _runs(self, request: Request) -> Response:
        limit, offset = int(request.query_params["limit"]), int(request.query_params["offset"])
        newest = sorted(self.runs.values(), key=lambda run: run.created, reverse=True)
        return JSONResponse([run.listed() for run in newest[offset : offset + limit]])

    async def _cancel(self, request: Request) -> Response:
        run = self.runs.get(request.path_params["id"])
        if run is None or run.status in TERMINAL:
            return JSONResponse({"detail": "Error cancelling run"}, 500)
        self.end(run, "cancelled")
        return JSONResponse({"status": "success"})

    async def _upload(self, request: Request) -> Response:
        form = await request.form()
        file = form["file"]
        assert not isinstance(file, str)
        name = f"{uuid.uuid4().hex}/{file.filename}"
        self.uploads[self.address(name)] = await file.read()
        await form.close()
        return JSONResponse({"file_id": "file_1", "file_name": file.filename, "file_url": self.address(name)})

    async def _old_file(self, request: Request) -> Response:
        body = await request.json()
        assert set(body) == {"type", "file_size"}
        url = self.address(uuid.uuid4().hex)
        return JSONResponse({"upload_url": url, "file_id": "file_1", "download_url": url})

    # --- the store, which has another door and no key

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/store/{name}?sig={self.signature}"

    async def _put(self, request: Request) -> Response:
        assert "Authorization" not in request.headers, "the store must not see the key"
        self.uploads[str(request.url)] = await request.body()
        return Response()

    async def _file(self, request: Request) -> Response:
        self.requests.append("GET /store")
        name = request.path_params["name"]
        if (fault := self.faults.get("GET /store")) and (answer := await fault(request)):
            return answer
        if request.query_params.get("sig") != self.signature:
            return Response("<Error><Code>AccessDenied</Code></Error>", 403)
        if name not in self.files:
            return Response(status_code=404)
        return Response(self.files[name], media_type="image/png")

    # --- runs

    def output(self, name: str, data: bytes = PNG) -> dict[str, Any]:
        """A stored file, as a run tells it."""
        self.files[name] = data
        picture = {"url": self.address(name), "type": "output", "filename": name, "subfolder": ""}
        return {
            "id": str(uuid.uuid4()),
            "run_id": name.partition(".")[0],
            "data": {"images": [picture]},
            "node_meta": {"node_id": "20", "node_class": "SaveImage"},
            "type": "image",
            "node_id": "20",
        }

    async def move(self, run: Run, status: str, **more: Any) -> None:
        """To another state; whoever has a webhook is told."""
        if run.status not in TERMINAL:
            run.status, run.more = status, more
            if status == "running":
                run.started = run.started or datetime.now(UTC)
            await self._tell(run)

    def finish(self, run: Run, outputs: Any, status: str = "success", **more: Any) -> None:
        run.outputs = outputs
        self.end(run, status, **more)

    def end(self, run: Run, status: str, **more: Any) -> None:
        run.status, run.more, run.ended = status, more, datetime.now(UTC)
        run.at_end.set()
        self._work(self._tell(run))

    async def settled(self, run: Run) -> None:
        await run.at_end.wait()

    def resign(self) -> None:
        """All addresses given out so far expire; runs tell new ones."""
        before, self.signature = self.signature, str(int(self.signature) + 1)
        for run in self.runs.values():
            run.outputs = json.loads(json.dumps(run.outputs).replace(f"?sig={before}", f"?sig={self.signature}"))

    def age(self, run: Run, **ago: float) -> None:
        run.created -= timedelta(**ago)

    def _work(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, run: Run) -> None:
        url = run.body.get("webhook")
        if not url or self.silent:
            return
        said = {
            "event_type": "run.updated",
            "status": run.status,
            "live_status": run.more.get("live_status"),
            "progress": run.more.get("progress", 0),
            "run_id": run.id,
            "outputs": run.outputs,
        }
        for target, body in self.webhooks(url, said):
            await self._post(target, body)

    async def _post(self, url: str, body: Webhook) -> None:
        """Three tries."""
        for pause in (*RETRY_SECONDS, 0.0):
            with contextlib.suppress(httpx.HTTPError):
                answer = await self._client.post(url, json=body)
                self.sent.append((url, answer.status_code))
                self._news.set()
                if answer.is_success:
                    return
            await asyncio.sleep(pause)


def with_a_wrong_token(url: str, said: Webhook) -> list[tuple[str, Webhook]]:
    flipped = re.sub(r".$", lambda last: "0" if last[0] != "0" else "1", url)
    return [(flipped, said)]


def twice_and_out_of_order(url: str, said: Webhook) -> list[tuple[str, Webhook]]:
    stale = said | {"status": "queued", "outputs": []}
    return [(url, said), (url, stale), (url, said)]
