"""Whole gateways and sketch servers, in this process or in their own, and somebody who talks to them over the web protocol."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import httpx
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chatelier.core.cli.context import load_config
from chatelier.core.cli.serve import listening
from chatelier.core.gateway import Runtime, open_runtime

CHATELIER = (sys.executable, "-m", "chatelier")
PATIENCE = 40.0
"""Seconds that a test waits for what must happen."""

Wire = dict[str, Any]


def configured(folder: Path, **more: Any) -> Path:
    """A configuration in this folder: everything it keeps is there too, and its port is a free one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workflows").mkdir(exist_ok=True)
    path = folder / "config.yaml"
    whole = {"data_dir": str(folder), "http": {"port": 0}, **more}
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


def on_server(url: str) -> Wire:
    """The part `backends` for one ComfyUI server and no sketch beside it."""
    return {"comfyui": {"servers": [{"url": url, "name": "studio"}]}, "sketch": {"enabled": False}}


@dataclass
class Here:
    """A gateway in this process."""

    runtime: Runtime
    url: str

    async def refresh(self) -> None:
        """Take notice of changed workflow files now."""
        await self.runtime.catalogue.refresh()


@asynccontextmanager
async def gateway(config: Path) -> AsyncIterator[Here]:
    """As `chatelier run` starts it."""
    settings, plugins = load_config(config)
    async with open_runtime(settings, plugins) as runtime, listening(runtime) as url:
        stop, ready = asyncio.Event(), asyncio.Event()

        async def begun() -> None:
            ready.set()

        serving = asyncio.create_task(runtime.serve(stop, begun))
        try:
            await ready.wait()
            yield Here(runtime, url)
        finally:
            stop.set()
            await serving


class Process:
    """A command of ours in a process of its own. url: as it printed it when it was ready."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        # A file, because nobody reads a pipe while a test runs, and who writes to a full one stands still.
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - open as long as the process runs
        self.running = Popen(  # noqa: S603 - our own program
            [*CHATELIER, *arguments], stdout=PIPE, stderr=self._log, text=True, env={**os.environ, **environment}
        )
        self._ended = False
        self._told = ""
        self.url = self._address()

    def _address(self) -> str:
        assert self.running.stdout is not None
        for line in self.running.stdout:
            if found := re.search(r"http://[\w.:\[\]]+", line):
                return found.group(0)
        raise AssertionError(self.end())

    def kill(self) -> None:
        """As when the machine goes dark."""
        self.running.kill()
        self.end()

    def stop(self) -> str:
        """In good order; gives all that it wrote."""
        self.running.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> str:
        """Waits for it; gives all that it wrote and nobody read yet."""
        if not self._ended:
            out, _ = self.running.communicate(timeout=PATIENCE)
            self._log.seek(0)
            self._told = f"{out}{self._log.read()}"
            self._log.close()
            self._ended = True
        return self._told


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[Process]:
    started = Process(*arguments, **environment)
    try:
        yield started
    finally:
        started.running.kill()
        started.end()


def gateway_process(config: Path) -> contextlib.AbstractContextManager[Process]:
    return process("run", "--config", str(config))


def sketch_process(folder: Path, *arguments: str, port: int = 0) -> contextlib.AbstractContextManager[Process]:
    return process("sketch", "--port", str(port), "--folder", str(folder), *arguments)


@dataclass
class Message:
    """What the page shows as one message. looks: all that it ever looked like, the latest last."""

    looks: list[Wire] = field(default_factory=list)

    @property
    def now(self) -> Wire:
        return self.looks[-1]

    @property
    def key(self) -> str:
        return str(self.now["key"])

    @property
    def text(self) -> str:
        return plain(self.now)

    @property
    def media(self) -> list[Wire]:
        return [each for each in self.now["media"] if not each["preview"]]

    @property
    def previews(self) -> list[Wire]:
        return [each for look in self.looks for each in look["media"] if each["preview"]]

    @property
    def buttons(self) -> dict[str, str]:
        """Payloads by label without its sign: "Again" → "j.….again"."""
        return {button["label"].split(" ")[-1]: button["payload"] for row in self.now["buttons"] for button in row}

    @property
    def job(self) -> str:
        """Of the buttons under it, or as it says itself."""
        for payload in self.buttons.values():
            if payload.startswith("j."):
                return payload.split(".")[1]
        return self.text.rpartition("Job ")[2].split()[0] if "Job " in self.text else ""

    @property
    def is_open(self) -> bool:
        """A card of a job that still waits or runs."""
        return "Cancel" in self.buttons


def plain(look: Wire) -> str:
    text = re.sub(r"<br\s*/?>|</p>|</li>", "\n", look["html"] or "")
    return (look["text"] or unescape(re.sub(r"<[^>]+>", "", text))).strip()


class Refusal(Exception):
    """The gateway did not take it."""


class Guest:
    """Somebody with the page open, without the page. It comes back when the connection is lost, as the page does."""

    def __init__(self, url: str, client: httpx.AsyncClient, cookie: str, token: str = "") -> None:
        self.url = url
        self.http = client
        self.cookie = cookie
        self._token = token
        self.messages: dict[str, Message] = {}
        self.asked: list[Wire] = []
        self._unanswered: dict[str, str] = {}
        self._answers: dict[str, Wire] = {}
        self._changed = asyncio.Event()
        self._socket: ClientConnection | None = None

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    @property
    def heard(self) -> list[Message]:
        """Messages of the gateway, in order."""
        theirs = [each for each in self.messages.values() if not each.now["mine"]]
        return sorted(theirs, key=lambda each: int(each.now["place"]))

    async def until(self, found: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """What `found` gives as soon as it is something."""
        try:
            async with asyncio.timeout(seconds):
                while not (value := found()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            shown = [each.text for each in self.messages.values()]
            raise AssertionError(f"waited {seconds:g} s in vain; shown: {shown}") from None
        return value

    # --- what people do

    async def say(self, text: str, *files: str, key: str = "") -> str:
        """Until it is acknowledged; gives its key, under which it may be said again. Raises Refusal with the words."""
        return await self._act("say", key, text=text, files=list(files))

    async def ask(self, text: str, *files: str) -> Message:
        """The answer: for a job, when it has come to its end."""
        before = set(self.messages)
        await self.say(text, *files)
        return await self.answer(before)

    async def press(self, message: Message, label: str) -> None:
        await self._act("press", payload=message.buttons[label], message=message.key)

    async def submit(self, form: Wire, **values: Any) -> None:
        await self._act("submit", form=form["key"], values={**form["values"], **values})

    async def answer(self, before: set[str]) -> Message:
        """The first message of the gateway that was not there before, once nothing runs behind it."""

        def new() -> Message | None:
            return next((each for each in self.heard if each.key not in before and not each.is_open), None)

        found = await self.until(new)
        assert isinstance(found, Message)
        return found

    async def card(self, text: str, *files: str) -> Message:
        """Of a job that goes on."""
        before = set(self.messages)
        await self.say(text, *files)
        found = await self.until(lambda: next((each for each in self.heard if each.key not in before), None))
        assert isinstance(found, Message)
        return found

    async def upload(self, data: bytes, name: str = "picture.png") -> str:
        """Raises Refusal with the words."""
        answer = await self.http.post("/chat/files", params={"name": name}, content=data)
        if answer.is_error:
            raise Refusal(answer.json()["error"])
        return str(answer.json()["ref"])

    async def bytes_of(self, media: Wire) -> bytes:
        answer = await self.http.get(media["src"])
        answer.raise_for_status()
        return answer.content

    async def _act(self, kind: str, key: str = "", **fields: Any) -> str:
        key = key or secrets.token_hex(8)
        wire = json.dumps({"type": kind, "id": key, **fields})
        self._unanswered[key] = wire
        await self.send_raw(wire)
        answer = await self.until(lambda: self._answers.get(key))
        del self._unanswered[key]
        if answer["type"] == "refused":
            raise Refusal(answer["words"])
        return key

    # --- the connection

    async def send_raw(self, text: str) -> None:
        """As no page would."""
        await self.until(lambda: self._socket)
        assert self._socket is not None
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(text)

    async def listen(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(OSError, ConnectionClosed):
                await self._converse()
            self._socket = None
            await asyncio.sleep(0.1)  # a gateway that is away is asked again, as the page does it

    async def _converse(self) -> None:
        address = self.url.replace("http", "ws", 1) + "/chat/socket"
        headers = {"Cookie": f"chatelier_person={self.cookie}", "Origin": self.url}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        async with connect(address, additional_headers=headers, max_size=None) as socket:
            await socket.send(json.dumps({"type": "hello"}))
            async for text in socket:
                wire = json.loads(text)
                self._hear(wire)
                if wire["type"] == "history":
                    self._socket = socket
                    for unanswered in list(self._unanswered.values()):
                        await socket.send(unanswered)
                self._changed.set()

    def _hear(self, wire: Wire) -> None:
        match wire["type"]:
            case "history":
                for message in wire["messages"]:
                    self._show(message)
            case "message" | "edit":
                self._show(wire["message"])
            case "delete":
                self.messages.pop(wire["key"], None)
            case "ack" | "refused":
                self._answers[wire["id"]] = wire
            case "ask":
                self.asked.append(wire["form"])

    def _show(self, look: Wire) -> None:
        self.messages.setdefault(look["key"], Message()).looks.append(look)


@asynccontextmanager
async def guest(url: str, cookie: str = "", *, token: str = "") -> AsyncIterator[Guest]:
    """cookie: of somebody who was here before. token: the page's, or the console's, which makes an operator."""
    headers = {"Origin": url, **({"Authorization": f"Bearer {token}"} if token else {})}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE, trust_env=False) as client:
        if not cookie:
            (await client.get("/")).raise_for_status()
            cookie = client.cookies["chatelier_person"]
        client.cookies.set("chatelier_person", cookie)
        somebody = Guest(url, client, cookie, token)
        talking = asyncio.create_task(somebody.listen())
        try:
            await somebody.until(lambda: somebody.is_connected)
            yield somebody
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)


async def said(config: Path, text: str, *more: str) -> tuple[int, Mapping[str, Any], str]:
    """`chatelier say --json`: exit code, the object it printed, and what stood on stderr."""
    return await finished(await say_process(config, text, *more))


async def say_process(config: Path, text: str, *more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *CHATELIER, "say", text, "--json", "--config", str(config), *more, stdout=PIPE, stderr=PIPE
    )


async def finished(running: asyncio.subprocess.Process) -> tuple[int, Mapping[str, Any], str]:
    """Exit code, the object it printed, and what stood on stderr."""
    out, err = await asyncio.wait_for(running.communicate(), PATIENCE)
    printed: Mapping[str, Any] = json.loads(out) if out.strip() else {}
    return running.returncode or 0, printed, err.decode()


def sentences(message: Message) -> str:
    """What a person reads; it is never a program's trouble."""
    assert message.text, "something is said"
    for trace in ("Traceback", "Error:", "Exception", 'File "', "None", "0x"):
        assert trace not in message.text
    return message.text


def names(files: Sequence[Path]) -> list[str]:
    return sorted(file.stem for file in files)
