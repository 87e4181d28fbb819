"""The command line: what is said, on which stream, and with which exit code."""

import io
import json
import os
import pty
import select
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from subprocess import PIPE, Popen
from subprocess import run as run_process

import click
import pytest
from click.testing import CliRunner

from chatelier.core.cli.commands import program
from chatelier.core.cli.main import main
from chatelier.core.testing.logs import sent_to

CHATELIER = Path(sys.executable).with_name("chatelier")
CANARIES = ("canary-chat-token", "canary-console-token")
PIGEONS = Path(__file__).parent / "data" / "plugins" / "programs"
GRAPH = Path(__file__).parents[1] / "plugins" / "starter" / "workflows" / "make.json"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Chatelier = Callable[..., Said]


@pytest.fixture
def chatelier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Chatelier:
    """The command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATELIER_DATA_DIR", str(tmp_path / "var"))

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["chatelier", *arguments])
        capsys.readouterr()
        with sent_to(io.StringIO()), pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return call


def config(folder: Path, text: str, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# --- help, and the commands that plugins bring


def commands(group: click.Group) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (name,)
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, *path) for path in commands(command))


def test_every_command_has_help() -> None:
    paths = list(commands(program))
    assert len(paths) >= 15
    for path in paths:
        result = CliRunner().invoke(program, [*path, "--help"])
        assert result.exit_code == 0, path
        about = result.output.partition("Usage")[2].partition("\n")[2].strip()
        assert len(about.splitlines()[0]) > 15, f"{path} says nothing about itself"


def with_pigeons(folder: Path, *arguments: str) -> Said:
    """The command where a package is installed that brings two commands, and three that cannot be used."""
    done = run_process(  # noqa: S603 - our own program
        [sys.executable, "-m", "chatelier", *arguments],
        cwd=folder,
        env=environment(folder, PYTHONPATH=str(PIGEONS)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_package_brings_commands_and_groups_of_them(tmp_path: Path) -> None:
    assert with_pigeons(tmp_path, "greet") == Said(0, "Hello from var.\n", "")
    assert with_pigeons(tmp_path, "pigeons", "count") == Said(0, "three pigeons\n", "")
    wrong = config(tmp_path, "http:\n  prot: 80\n", "wrong.yaml")
    said = with_pigeons(tmp_path, "greet", "--config", str(wrong))
    assert (said.code, said.out) == (2, "")
    assert f"{wrong}:2" in said.err
    assert "Did you mean 'greet'?" in with_pigeons(tmp_path, "gret").err


def test_a_command_that_cannot_be_used_says_why_and_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    said = with_pigeons(tmp_path, "--help")
    helps = dict(line.split(maxsplit=1) for line in said.out.partition("Commands:\n")[2].splitlines())
    assert (said.code, said.err) == (0, "")
    assert helps["greet"] == "Greet from a gateway on its own data."
    assert helps["jobs"] == "Jobs: list, show, cancel.", "the name was taken"
    assert helps["gone"].startswith("Cannot be used: ModuleNotFoundError")
    said = with_pigeons(tmp_path, "gone", "with", "--these")
    assert (said.code, said.out) == (1, "")
    assert "No module named 'atelier_pigeons.absent'" in said.err


def test_doctor_and_plugins_name_the_commands_that_cannot_be_used(tmp_path: Path) -> None:
    doctor, plugins = with_pigeons(tmp_path, "doctor"), with_pigeons(tmp_path, "plugins")
    assert doctor.code == plugins.code == 1
    for name, problem in (
        ("gone", "No module named 'atelier_pigeons.absent'"),
        ("jobs", "the name is taken by the core"),
        ("motto", "atelier_pigeons:MOTTO is no click command"),
    ):
        (line,) = [line for line in doctor.out.splitlines() if f"command {name} of atelier-pigeons" in line]
        assert problem in line
        (line,) = [line for line in plugins.err.splitlines() if line.startswith(f"`chatelier {name}`: broken")]
        assert problem in line
    assert any(line.split()[:3] == ["greet", "atelier-pigeons", "1.2"] for line in plugins.out.splitlines())


# --- the configuration


@pytest.mark.parametrize(
    "command",
    ["run", "doctor", "plugins", "backends", "jobs list", "workflows list", "store check", "say hello", "chat"],
)
def test_a_typo_in_the_config_ends_with_2_and_its_line(chatelier: Chatelier, tmp_path: Path, command: str) -> None:
    path = config(tmp_path, "store: sqlite:a.db\nhttp:\n  prot: 80\n")
    said = chatelier(*command.split(), "--config", str(path))
    assert said.code == 2
    assert f"{path}:3" in said.err
    assert "port" in said.err
    assert said.out == ""


def test_a_config_that_is_not_there(chatelier: Chatelier) -> None:
    said = chatelier("doctor", "--config", "nope.yaml")
    assert said.code == 2
    assert "nope.yaml" in said.err


def test_a_log_level_that_there_is_not(chatelier: Chatelier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATELIER_LOG_LEVEL", "silly")
    said = chatelier("plugins")
    assert said.code == 2
    assert "INFO" in said.err


def test_secrets_are_in_no_output(chatelier: Chatelier, tmp_path: Path) -> None:
    config(
        tmp_path,
        "http:\n  port: 1\n  token: canary-chat-token\n  console_token: canary-console-token\n"
        "backends:\n  comfyui:\n    servers: [{url: 'http://me:canary-chat-token@127.0.0.1:9'}]\n",
    )
    for command in ("doctor", "plugins", "backends", "jobs list", "workflows list", "store check", "say /nope"):
        said = chatelier(*command.split())
        assert not any(canary in said.out + said.err for canary in CANARIES), command
    config(tmp_path, "http:\n  token: [canary-chat-token]\n  nope: canary-console-token\n")
    said = chatelier("doctor")
    assert said.code == 2
    assert not any(canary in said.out + said.err for canary in CANARIES)


LEAKS = """
from chatelier import Refused, Unavailable, hookimpl
from chatelier.testing import FakeBackend

class Leaky(FakeBackend):
    async def describe(self):
        raise (Unavailable if self.name == "away" else ValueError)(WORDS)

@hookimpl
def register_backends(register, settings):
    register(Leaky("away"))
    register(Leaky("buggy"))

@hookimpl
def register_platforms(register, settings):
    raise Refused(WORDS)
"""


def test_what_plugins_say_is_printed_without_secrets(chatelier: Chatelier, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    secret = "hunter2pw"  # noqa: S105 - opens nothing
    words = f"GET https://h/{secret}/view?token={secret} failed"
    (tmp_path / "own" / "leaky.py").write_text(f"WORDS = {words!r}\n{LEAKS}")
    config(tmp_path, f"http:\n  token: {secret}\nplugins:\n  folder: own\n")
    for command in ("backends", "doctor", "say /status", "say /status --json"):
        said = chatelier(*command.split())
        assert secret not in said.out + said.err, command
    assert "/***/view" in chatelier("backends").out
    config(tmp_path, f"http:\n  token: {secret}\nstore: '{secret}:x'\n")
    said = chatelier("store", "check")
    assert (said.code, secret in said.err) == (2, False)
    said = chatelier("say", "/status", "--json")
    assert (said.code, secret in said.out) == (2, False)


# --- doctor, plugins, backends


def test_doctor_finds_all_well(chatelier: Chatelier) -> None:
    said = chatelier("doctor")
    assert (said.code, said.err) == (0, "")
    assert all(line.startswith("✓") for line in said.out.splitlines())
    for what in ("config", "plugins", "disk", "store", "backend sketch", "workflows"):
        assert f"✓ {what}" in said.out


def test_a_broken_plugin_is_named(chatelier: Chatelier, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "crooked.py").write_text("import nothing_of_this_name\n")
    config(tmp_path, "plugins:\n  folder: own\n  off: [console]\n")
    doctor, plugins = chatelier("doctor"), chatelier("plugins")
    assert doctor.code == plugins.code == 1
    assert "✗ plugin crooked" in doctor.out
    assert "nothing_of_this_name" in doctor.out
    assert "crooked: broken" in plugins.err
    assert any(line.split() == ["console", "off"] for line in plugins.out.splitlines())


LOFT = """
from chatelier import Capabilities, PlainDialect, Unavailable, hookimpl

class Pigeons:
    def __init__(self, name, answer):
        self.name, self.answer = name, answer
    def capabilities(self, chat=None):
        return Capabilities(dialect=PlainDialect())
    async def run(self, gateway): ...
    async def send(self, message): ...
    def read(self, file): ...
    async def check(self):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

@hookimpl
def register_platforms(register, settings):
    register(Pigeons("loft.well", []))
    register(Pigeons("loft.narrow", ["open a second window", "buy corn"]))
    register(Pigeons("loft.away", Unavailable("fog")))
    register(Pigeons("loft.crooked", KeyError("perch")))
"""


def test_doctor_asks_the_networks_about_their_accounts(chatelier: Chatelier, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "loft.py").write_text(LOFT)
    config(tmp_path, "plugins: {folder: own}\n")
    said = chatelier("doctor")
    assert "✓ account loft.well: its network answers" in said.out
    assert "! account loft.narrow: open a second window; buy corn" in said.out
    assert "! account loft.away: its network does not answer: fog" in said.out
    assert "! account loft.crooked: it cannot be asked: KeyError: 'perch'" in said.out
    assert said.code == 0, "a gateway can run with all of these"
    (tmp_path / "own" / "loft.py").write_text(LOFT.replace("Unavailable", "OperatorMust"))
    said = chatelier("doctor")
    assert "✗ account loft.away: fog" in said.out
    assert said.code == 1, "nobody but the operator can mend it"


def test_a_name_in_plugins_off_that_there_is_not_is_said_by_the_doctor_and_in_the_log(
    chatelier: Chatelier, tmp_path: Path
) -> None:
    config(tmp_path, "plugins: {off: [webb]}\n")
    said = chatelier("doctor")
    assert said.code == 0
    assert '! config: config.yaml:1: plugins.off.0: there is no plugin "webb"; did you mean "web"?' in said.out
    with gateway(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=15)
    assert any('no plugin "webb"' in str(json.loads(line).get("problem")) for line in err.splitlines())


def test_a_page_that_is_closed_is_named(chatelier: Chatelier, tmp_path: Path) -> None:
    config(tmp_path, "http: {public_url: 'https://art.example.com', token: canary-chat-token}\n")
    said = chatelier("doctor")
    assert said.code == 0
    assert "! http.console_token: not set" in said.out
    assert "http.token:" not in said.out


def test_a_backend_that_is_none_is_named_beside_the_others(chatelier: Chatelier, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "crooked.py").write_text(
        "from chatelier import hookimpl\n@hookimpl\ndef register_backends(register, settings): register(5)\n"
    )
    config(tmp_path, "plugins:\n  folder: own\n")
    said = chatelier("backends")
    assert said.code == 0
    assert "sketch" in said.out
    assert "crooked" in said.err


def test_a_platform_that_lies_about_itself_is_named(chatelier: Chatelier, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "liar.py").write_text(
        "from chatelier import hookimpl\n"
        "from chatelier.testing import FakePlatform, with_capabilities\n"
        "@hookimpl\n"
        "def register_platforms(register, settings):\n"
        "    register(FakePlatform(can=with_capabilities(delete=False)))\n"
    )
    config(tmp_path, "plugins:\n  folder: own\n")
    said = chatelier("doctor")
    assert said.code == 1
    assert "does not declare deletes" in said.out


def test_a_backend_that_is_down_is_grave_only_when_it_is_the_last(chatelier: Chatelier, tmp_path: Path) -> None:
    servers = "backends:\n  comfyui:\n    servers: [{url: 'http://127.0.0.1:9', name: studio}]\n"
    config(tmp_path, servers + "  sketch:\n    enabled: true\n")
    doctor, backends = chatelier("doctor"), chatelier("backends")
    assert doctor.code == backends.code == 0
    assert "! backend studio" in doctor.out
    assert any("studio" in line and "down" in line for line in backends.out.splitlines())
    config(tmp_path, servers)
    doctor, backends = chatelier("doctor"), chatelier("backends")
    assert doctor.code == backends.code == 1
    assert "✗ backends" in doctor.out


def test_a_store_that_is_too_new_is_left_alone(chatelier: Chatelier, tmp_path: Path) -> None:
    assert chatelier("doctor").code == 0
    path = tmp_path / "var" / "chatelier.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    doctor = chatelier("doctor")
    assert doctor.code == 1
    assert "newer Chatelier" in doctor.out
    said = chatelier("say", "hello", "--json")
    assert said.code == 2
    assert json.loads(said.out)["state"] == "error"
    assert "newer Chatelier" in json.loads(said.out)["text"]
    assert chatelier("store", "check").code == 2


def test_a_folder_that_cannot_be_used(chatelier: Chatelier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHATELIER_DATA_DIR", str(tmp_path / "file" / "below"))
    said = chatelier("doctor")
    assert said.code == 1
    assert "data_dir" in said.out
    assert chatelier("run").code == 2


# --- say, jobs


def test_say_prints_saves_and_the_job_is_on_record(chatelier: Chatelier, tmp_path: Path) -> None:
    said = chatelier(
        "say", "/make", "-o", "prompt=a --width fox", "-o", "width=256", "--as", "ada", "--out", "out", "--json"
    )
    told = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert list(told) == ["job", "state", "text", "files"]
    assert told["state"] == "done"
    assert "a --width fox" in told["text"]
    assert [Path(file).read_bytes()[:4] for file in told["files"]] == [b"\x89PNG"]
    listed = chatelier("jobs", "list")
    (line,) = [line for line in listed.out.splitlines() if told["job"] in line]
    assert "done" in line
    shown = chatelier("jobs", "show", told["job"])
    assert "256" in shown.out
    assert "image/png" in shown.out
    assert told["job"] not in chatelier("jobs", "list", "--state", "failed").out
    cancelled = chatelier("jobs", "cancel", told["job"])
    assert cancelled.code == 1
    assert "done already" in cancelled.out
    shown = chatelier("say", f"/show {told['job']}", "--as", "ada", "--out", "again")
    assert shown.code == 0
    assert len(list((tmp_path / "again").iterdir())) == 1


@pytest.mark.parametrize(("more", "is_there"), [([], True), (["--option", "negative="], False)])
def test_an_option_that_is_empty_takes_a_text_away(chatelier: Chatelier, more: list[str], *, is_there: bool) -> None:
    small = ["-o", "width=64", "-o", "height=64", "-o", "steps=1"]
    said = chatelier("say", "/make", "-o", "prompt=a fox", *small, *more, "--json")
    shown = chatelier("jobs", "show", json.loads(said.out)["job"])
    assert ("watermark" in shown.out) == is_there


@pytest.mark.parametrize(
    ("arguments", "state", "words"),
    [
        (["/nope"], "refused", "no command /nope"),
        ([""], "refused", "Commands begin with a slash"),
        (["a red fox"], "refused", "Commands begin with a slash"),
        (["^ /mirror"], "refused", "no result here"),
        (["^/effect", "--option", "prompt=ink"], "refused", "no result here"),
        (["/make"], "refused", "Prompt"),
        (["/make a fox --width nine"], "refused", "width must be"),
        (["/effect", "--attach", "nothing.png"], "refused", "There is no file nothing.png"),
        (["/make a fox", "--option", "width=256"], "refused", "one command alone"),
        (["/make", "--option", "width"], "refused", "name=value"),
        (["/make", "--option", "width=1", "--option", "width=2"], "refused", "twice"),
        (["/make a fox", "--as", "no body"], "refused", "letters"),
        (["/make a fox", "--out", "file"], "refused", "--out"),
        (["/make a fox", "--config", "nope.yaml"], "error", "no such file"),
    ],
)
def test_what_cannot_be_done_is_one_object_too(
    chatelier: Chatelier, tmp_path: Path, arguments: list[str], state: str, words: str
) -> None:
    (tmp_path / "file").write_text("")
    said = chatelier("say", *arguments, "--json")
    told = json.loads(said.out)
    assert (said.code, told["state"]) == (2 if state == "error" else 1, state)
    assert words in told["text"]
    assert (told["job"], told["files"]) == ("", [])
    plain = chatelier("say", *arguments)
    assert plain.code == said.code
    assert words in plain.out + plain.err


def test_jobs_that_there_are_not(chatelier: Chatelier) -> None:
    assert "no jobs" in chatelier("jobs", "list").out
    for command in ("show", "cancel"):
        said = chatelier("jobs", command, "nope")
        assert said.code == 1
        assert "no such job" in said.err
    said = chatelier("jobs", "list", "--state", "nope")
    assert said.code == 1
    assert "queued" in said.err


# --- workflows and store


def test_workflows_are_listed_and_shown(chatelier: Chatelier) -> None:
    listed = chatelier("workflows", "list")
    assert {line.split()[0] for line in listed.out.splitlines()} >= {"/make", "/effect", "/upscale"}
    shown = chatelier("workflows", "show", "make")
    assert "prompt" in shown.out
    said = chatelier("workflows", "show", "nope")
    assert said.code == 1
    assert "make" in said.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"1": {"class_type": "A", "inputs": {"x": ["2", 0]}}, "2": {"class_type": "A", "inputs": {"x": ["1", 0]}}}',
            "node",
        ),
        ('{"1": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}}}', "node 1"),
        ('{"nodes": [], "links": []}', "API"),
        ("{not json", "JSON"),
        ("", "JSON"),
    ],
    ids=["cycle", "no such node", "editor", "garbage", "empty"],
)
def test_a_bad_workflow_is_named_with_its_reason(chatelier: Chatelier, tmp_path: Path, text: str, words: str) -> None:
    path = config(tmp_path, text, "bad.json")
    said = chatelier("workflows", "check", str(path))
    assert said.code == 1
    assert "bad.json" in said.out
    assert words in said.out


def test_a_good_workflow_and_a_server_that_lacks_its_nodes(chatelier: Chatelier, tmp_path: Path) -> None:
    assert chatelier("workflows", "check", str(GRAPH)).code == 0
    nothing = config(tmp_path, "{}", "info.json")
    said = chatelier("workflows", "check", str(GRAPH), "--object-info", str(nothing))
    assert said.code == 1
    assert "CheckpointLoaderSimple" in said.out
    assert chatelier("workflows", "check", str(tmp_path / "nothing.json")).code != 0


def test_the_store_is_checked_and_copied(chatelier: Chatelier, tmp_path: Path) -> None:
    assert chatelier("store", "check").out == "All is well.\n"
    assert chatelier("store", "backup", str(tmp_path / "copy.db")).code == 0
    said = chatelier("store", "backup", str(tmp_path / "copy.db"))
    assert said.code != 0
    assert "there already" in said.err


# --- real processes


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATELIER_")}
    own = {"CHATELIER_DATA_DIR": str(folder / "var"), "CHATELIER_HTTP__PORT": "0", "TERM": "xterm", **more}
    return {**kept, **own}


def start(folder: Path, *arguments: str, **more: str) -> Popen[str]:
    return Popen(  # noqa: S603 - our own program
        [CHATELIER, *arguments], cwd=folder, env=environment(folder, **more), stdout=PIPE, stderr=PIPE, text=True
    )


@contextmanager
def gateway(folder: Path, **more: str) -> Iterator[Popen[str]]:
    """`chatelier run`, ready; ended hard at the end if it is still there."""
    process = start(folder, "run", **more)
    try:
        assert process.stdout is not None
        address = process.stdout.readline()
        assert "http://" in address, process.communicate(timeout=30)
        yield process
    finally:
        process.kill()
        process.communicate()


class AtTerminal:
    """`chatelier chat` at a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        self._master, slave = pty.openpty()
        self.process = Popen(  # noqa: S603 - our own program
            [CHATELIER, "chat", *arguments],
            cwd=folder,
            env=environment(folder, **more),
            stdin=slave,
            stdout=slave,
            stderr=PIPE,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, words: str, seconds: float = 20.0) -> str:
        """All that was written until these words came."""
        while words not in self.seen:
            ready, _, _ = select.select([self._master], [], [], seconds)
            assert ready, f"{words!r} never came after {self.seen!r}"
            self.seen += os.read(self._master, 65_536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(words)
        return before + words

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._master)


@pytest.fixture
def at_terminal(tmp_path: Path) -> Iterator[Callable[..., AtTerminal]]:
    opened: list[AtTerminal] = []

    def make(*arguments: str, **more: str) -> AtTerminal:
        opened.append(AtTerminal(tmp_path, *arguments, **more))
        return opened[-1]

    yield make
    for terminal in opened:
        terminal.close()


def test_run_stops_cleanly_and_gives_its_leases_back(tmp_path: Path) -> None:
    secrets = {"CHATELIER_HTTP__TOKEN": CANARIES[0], "CHATELIER_HTTP__CONSOLE_TOKEN": CANARIES[1]}
    for number in (signal.SIGTERM, signal.SIGINT):
        with gateway(tmp_path, **secrets) as process:
            assert process.stderr is not None
            begun = list(takewhile(lambda line: "on line" not in line or '"web"' not in line, process.stderr))
            process.send_signal(number)
            out, err = process.communicate(timeout=15)
        assert process.returncode == 0
        lines = [json.loads(line) for line in [*begun, *err.splitlines()]]
        assert {"event", "level", "timestamp"} <= set(lines[0])
        assert not any(canary in out + err for canary in CANARIES)
        with closing(sqlite3.connect(tmp_path / "var" / "chatelier.db")) as connection:
            owners = [json.loads(doc)["owner"] for (doc,) in connection.execute("SELECT doc FROM records_accounts")]
        assert owners == [""]


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        done = run_process(
            [sys.executable, "-m", "chatelier", "run"],
            cwd=tmp_path,
            env=environment(tmp_path, CHATELIER_HTTP__PORT=port),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 2
    assert port in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


SLOW = {"CHATELIER_BACKENDS__SKETCH__SECONDS": "30"}


def test_a_run_beside_it_takes_a_job_but_never_a_message(
    tmp_path: Path, at_terminal: Callable[..., AtTerminal]
) -> None:
    """Three jobs, of which a slow terminal holds two at most: what the other process makes is shown here all the same."""
    with gateway(tmp_path) as process:
        chat = at_terminal("--as", "ada", "--out", "out", **SLOW)
        chat.until("Ctrl-D ends")
        for n in range(3):
            chat.type(f"/make fox number {n}\r")
            chat.until("Waiting")
        chat.until("out/make-")
        assert len(list((tmp_path / "out").iterdir())) >= 1
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "fox number" not in out + err


def test_a_conversation_at_a_terminal(tmp_path: Path, at_terminal: Callable[..., AtTerminal]) -> None:
    """Completion by Tab, a job that is cancelled by Ctrl-C, and Ctrl-D."""
    chat = at_terminal("--as", "ada", "--out", "out", **SLOW)
    chat.until("> ")
    chat.process.send_signal(signal.SIGINT)
    chat.until("Nothing runs")
    chat.type("/stat\t")
    chat.until("us ")
    chat.type("\r")
    chat.until("Nothing of yours")
    chat.type("/make a red fox\r")
    chat.until("Waiting")
    chat.process.send_signal(signal.SIGINT)
    chat.until("Cancelled. It cost nothing.")
    chat.type("\x04")
    assert chat.process.wait(20) == 0


def test_numbers_at_a_terminal_press_every_button(tmp_path: Path, at_terminal: Callable[..., AtTerminal]) -> None:
    chat = at_terminal("--as", "ada", "--out", "out")
    chat.until("> ")
    chat.type("/make a red fox --width 64 --height 64 --steps 1\r")
    chat.until("out/make-")
    chat.type("3\r")
    chat.until("Tweak: ")
    answers = {"Prompt (now a red fox)": "a blue fox", "Negative": "-", "Seed": "", "Width (now 64)": "abc"}
    for question, answer in answers.items():
        chat.until(question)
        chat.type(f"{answer}\r")
    chat.until("width must be a whole number from 64")
    for question in ("Width", "Height", "How many", "Steps", "Guidance", "Model"):
        chat.until(question)
        chat.type("\r")
    chat.until("a blue fox\r\n\r\n1.")
    chat.until("out/make-")
    chat.type("7\r")
    chat.until("Hidden.")
    chat.type("\x04")
    assert chat.process.wait(20) == 0
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_ctrl_c_cancels_what_was_said(tmp_path: Path) -> None:
    said = start(tmp_path, "say", "/make a red fox", "--as", "ada", "--out", "out", **SLOW)
    try:
        assert said.stdout is not None
        assert "Make" in said.stdout.readline()
        said.send_signal(signal.SIGINT)
        out, err = said.communicate(timeout=20)
    finally:
        said.kill()
    assert said.returncode == 1
    assert "Cancelled. It cost nothing." in out
    assert out.splitlines()[-1].endswith(": cancelled")
    assert "Traceback" not in err


def test_a_second_signal_ends_a_gateway_at_once(tmp_path: Path) -> None:
    with gateway(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)  # so that both wait for it
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=5)
    assert process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
