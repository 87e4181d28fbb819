"""Kill the gateway before and after the n-th operation of a job's life, for every n, and start it again."""

import asyncio
import base64
import json
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chatelier.core.testing.backend import PIXEL

CHILD = Path(__file__).with_name("kill_child.py")
AT_ONCE = 8
LIVES = 3
LONGEST_SECONDS = 60.0
MARK = "sent again"


@dataclass(slots=True)
class Look:
    """A message as people see it now."""

    text: str
    pictures: int


@dataclass(slots=True)
class World:
    """The network and the backend of one gateway, which outlive its processes."""

    folder: Path
    finds: bool = True
    edits: bool = True
    shown: dict[str, Look] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    is_acknowledged: bool = False
    submitted: list[str] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    _epoch: float = field(default_factory=time.time)

    async def life(self, nursery: asyncio.StreamWriter, at: int = 0, side: str = "before") -> dict[str, Any] | None:
        """One process from its start to its end. What it reported, None when it was killed."""
        over = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async for line in reader:
                    call = json.loads(line)
                    answer = self.answer(call)
                    writer.write(json.dumps({"n": call["n"], "answer": answer}).encode() + b"\n")
                    if call["what"] == "connected" and not self.is_acknowledged:
                        writer.write(json.dumps({"event": "event"}).encode() + b"\n")
            except ConnectionResetError:
                pass  # killed
            finally:
                writer.close()
                over.set()

        before = len(self.reports)
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            told = {"port": port, "folder": str(self.folder), "epoch": self._epoch, "at": at, "side": side}
            nursery.write(json.dumps({**told, "finds": self.finds, "edits": self.edits}).encode() + b"\n")
            async with asyncio.timeout(LONGEST_SECONDS):
                await over.wait()
        return self.reports[-1] if len(self.reports) > before else None

    def answer(self, call: dict[str, Any]) -> Any:
        match call["what"]:
            case "acknowledge":
                self.is_acknowledged = True
            case "send":
                key = str(len(self.shown) + 1)
                self.shown[key] = Look(call["text"], call["pictures"])
                self.keys.setdefault(call["key"], key)
                return key
            case "edit":
                self.shown[call["id"]] = Look(call["text"], call["pictures"])
            case "find":
                return self.keys.get(call["key"], "")
            case "submit":
                self.submitted.append(call["attempt"])
            case "look up" | "watch":
                return "ended" if call["attempt"] in self.submitted else "absent"
            case "fetch":
                return base64.b64encode(PIXEL + bytes([call["output"]])).decode()
            case "report":
                self.reports.append(call)
        return None

    def check(self, when: str) -> None:
        """All that was promised, though a process was killed."""
        report = self.reports[-1]
        told = f"{when}: {report} {self.shown}"
        assert report["outcome"] == "done", told
        assert report["jobs"] == ["done"], told
        assert report["orders"] == ["closed"], told
        assert report["arrivals"] == ["handled"], told
        assert report["results"] == [0, 1], told
        assert report["loads"] == [0], told
        assert set(report["messages"]) == {"sent"}, told
        assert len(report["messages"]) == 2, told  # the card and the result
        assert report["leases"] == [], told
        assert report["check"] == [], told
        assert report["audit"] == [], told
        assert report["holds"] == [], told
        assert sum(report["paid"]) == report["earned"] > 0, told
        assert len(self.submitted) == 1, told
        pictures = [look for look in self.shown.values() if look.pictures]
        if self.finds:
            assert len(pictures) == 1, told
            assert report["again"] == 0, told
            assert len(self.shown) == (1 if self.edits else 2), told
        else:
            assert len(pictures) <= 2, told
            assert len(self.shown) <= (2 if self.edits else 4), told
            assert len([look for look in self.shown.values() if MARK not in look.text]) <= 2, told


@asynccontextmanager
async def nursery() -> AsyncIterator[asyncio.StreamWriter]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(CHILD), stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    try:
        yield process.stdin
    finally:
        process.stdin.close()
        await process.wait()


@pytest.mark.parametrize("last_words", [b"", b'{"n": 1'], ids=["in silence", "in the middle of a line"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_child_ends_when_its_test_is_gone(tmp_path: Path, last_words: bytes, reset: bool) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(last_words)
        if reset:
            linger_no_time = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)
        writer.close()

    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with await asyncio.start_server(leave, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = {"port": port, "folder": str(tmp_path), "epoch": time.time()}
        # Its output ends when nobody holds it any more: neither the nursery nor the child.
        async with asyncio.timeout(LONGEST_SECONDS):
            said, _ = await process.communicate(json.dumps(told).encode() + b"\n")
    assert said == b""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("finds", "edits"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=["network that finds and edits", "finds", "edits", "neither"],
)
async def test_a_job_survives_a_kill_at_every_operation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], finds: bool, edits: bool
) -> None:
    began = time.monotonic()
    too_short, missed = list[tuple[int, str]](), list[str]()
    places = asyncio.Semaphore(AT_ONCE)

    async with nursery() as children:
        # How often a card is looked at depends on the machine's speed, so lives differ by some operations.
        lives = []
        for n in range(LIVES):
            whole = World(tmp_path / f"whole-{n}", finds, edits)
            report = await whole.life(children)
            assert report is not None
            whole.check("not killed")
            lives.append(report["labels"])
        labels = min(lives, key=len)

        async def kill(n: int, side: str, again: str = "") -> None:
            async with places:
                world = World(tmp_path / f"{n}-{side}{again}", finds, edits)
                if await world.life(children, n, side) is None:
                    await world.life(children)
                elif again:
                    missed.append(f"{n} {side}")
                else:
                    too_short.append((n, side))
                world.check(f"killed {side} operation {n} of {len(labels)}, {labels[n - 1]}")

        async with asyncio.TaskGroup() as runs:
            for n in range(1, len(labels) + 1):
                for side in ("before", "after"):
                    runs.create_task(kill(n, side))
        for n, side in too_short:
            await kill(n, side, "-again")
    assert len(missed) <= 4, missed
    with capsys.disabled():
        print(  # noqa: T201 - the issue asks for n
            f"\nkill test, finds={finds} edits={edits}: n = {len(labels)}, {2 * len(labels)} kills, {time.monotonic() - began:.0f} s"
        )
