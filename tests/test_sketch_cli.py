"""`chatelier sketch` as a process, and the plugin's hooks."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from chatelier import Backend, Settings
from chatelier.plugins.sketch.faults import EXPLAINED, WrongFault, parse
from chatelier.plugins.sketch.plugin import Plugin
from chatelier.plugins.sketch.registry import all_nodes
from chatelier.plugins.sketch.settings import SECTION, SketchSettings
from sketching import text_to_image, tiny, workflow

SKETCH = [sys.executable, "-m", "chatelier", "sketch"]


@contextmanager
def process(tmp_path: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [*SKETCH, "--port", "0", "--folder", str(tmp_path), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - our own interpreter
        try:
            assert running.stdout is not None
            address = re.search(r"http://[\d.:]+", running.stdout.readline())
            assert address is not None
            yield running, address.group(0)
        finally:
            running.terminate()
            running.wait(30)


def waited(http: httpx.Client, prompt_id: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = http.get(f"/history/{prompt_id}").json()
        if found:
            return dict(found[prompt_id])
    raise TimeoutError


def test_a_fresh_server_fails_as_recorded_and_stops_when_asked(tmp_path: Path) -> None:
    with process(tmp_path, "--models", "") as (running, address), httpx.Client(base_url=address) as http:
        refused = http.post("/prompt", json={"prompt": workflow("invalid_model_missing")})
        assert refused.status_code == 400
        assert (
            refused.json()["node_errors"]["4"]["errors"][0]["details"]
            == "ckpt_name: 'v1-5-pruned-emaonly.safetensors' not in []"
        )
        failing = http.post("/prompt", json={"prompt": workflow("fail_exec")}).json()["prompt_id"]
        assert "unterminated subpattern" in json.dumps(waited(http, failing))
        running.terminate()
        assert running.wait(30) in {0, -15}


def test_a_list_of_models_and_a_job(tmp_path: Path) -> None:
    with (
        process(tmp_path, "--models", "sketch.safetensors, loras/one.safetensors") as (_, address),
        httpx.Client(base_url=address) as http,
    ):
        assert http.get("/models/loras").json() == ["one.safetensors"]
        prompt_id = http.post("/prompt", json={"prompt": text_to_image()}).json()["prompt_id"]
        assert waited(http, prompt_id)["status"]["completed"] is True
    assert list((tmp_path / "output").glob("picture_*.png"))


def test_a_server_that_dies_in_a_job(tmp_path: Path) -> None:
    with process(tmp_path, "--fault", "die-in-job") as (running, address):
        with suppress(httpx.HTTPError):
            httpx.post(f"{address}/prompt", json={"prompt": tiny()})
        assert running.wait(30) == 137


def test_ctrl_c_ends_it_as_shells_expect_and_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with process(tmp_path) as (running, address):
        assert httpx.get(f"{address}/queue").status_code == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
    assert capfd.readouterr().err.strip() == ""


def test_the_nodes_are_listed_with_a_line_each() -> None:
    command = [*SKETCH, "--nodes"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own interpreter
    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(all_nodes())
    assert all(len(line.split()) >= 3 and line.endswith(".") for line in lines)


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [*SKETCH, "--port", port, "--folder", str(tmp_path)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - as above
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "written", ["nonsense", "slow", "slow:soon", "freeze-after:", "garbage:1", "error", "error:", "memory"]
)
def test_wrong_faults_are_explained(written: str) -> None:
    with pytest.raises(WrongFault) as wrong:
        parse([written])
    name = written.partition(":")[0]
    assert EXPLAINED.get(name, "one of") in str(wrong.value)


def test_right_faults() -> None:
    faults = parse(
        [
            "slow:1.5",
            "freeze-after:2",
            "late-history:3",
            "error:A",
            "error:B",
            "garbage",
            "drop-socket",
            "lost-cancel",
            "memory:0.5",
            "full-memory",
        ]
    )
    assert (faults.slow_seconds, faults.freeze_after, faults.late_history) == (1.5, 2, 3)
    assert faults.failing == {"A", "B"}
    assert faults.garbage
    assert faults.drop_socket
    assert faults.lost_cancel
    assert not faults.die_in_job
    assert faults.memory == 500_000_000
    assert faults.full_memory


class FewSettings:
    """As much of the gateway's settings as the plugin reads."""

    def __init__(self, data_dir: Path, sketch: SketchSettings, *others: str) -> None:
        self.data_dir = data_dir
        self._sketch = sketch
        self._others = others

    def beside(self, section: str) -> tuple[str, ...]:
        assert section == SECTION
        return self._others

    def of(self, section: str, model: type[SketchSettings]) -> SketchSettings:
        assert (section, model) == (SECTION, SketchSettings)
        return self._sketch


def test_the_plugin_registers_what_is_switched_on(tmp_path: Path) -> None:
    backends: list[Backend] = []
    for enabled in (True, False):
        settings = FewSettings(tmp_path, SketchSettings(enabled=enabled))
        Plugin().register_backends(backends.append, cast(Settings, settings))
    assert [backend.name for backend in backends] == ["sketch"]


def test_the_sketch_steps_back_where_a_real_server_is_configured(tmp_path: Path) -> None:
    chosen = {
        (enabled, others): _registers(FewSettings(tmp_path, SketchSettings(enabled=enabled), *others))
        for enabled in (None, True, False)
        for others in ((), ("backends.comfyui",))
    }
    assert [key for key, registered in chosen.items() if registered] == [
        (None, ()),
        (True, ()),
        (True, ("backends.comfyui",)),
    ]


def _registers(settings: FewSettings) -> bool:
    backends: list[Backend] = []
    Plugin().register_backends(backends.append, cast(Settings, settings))
    return bool(backends)


def test_the_plugin_claims_its_section() -> None:
    sections: dict[str, type[BaseModel]] = {}
    Plugin().register_settings(sections.__setitem__)
    assert sections == {"backends.sketch": SketchSettings}


@pytest.mark.parametrize("wrong", [{"models": "all"}, {"seconds": -1}, {"port": 1}])
def test_settings_refuse_what_they_do_not_know(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SketchSettings.model_validate(wrong)
