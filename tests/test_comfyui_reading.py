"""What is read out of ComfyUI's messages: frames, progress, settings."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chatelier import Settings, outputs_of_results
from chatelier.plugins.comfyui import ComfySettings, Plugin
from chatelier.plugins.comfyui.frames import Event, NodeText, Preview, read
from chatelier.plugins.comfyui.progress import Track
from chatelier.plugins.comfyui.server import ComfyServer
from chatelier.plugins.comfyui.wire import Finished, Queue, moment
from comfyui import TRANSCRIPTS, saving
from peers.comfyui import node_text, preview, preview_with_metadata, recorded_runs

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "2", "images", "filename", "a.png"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["nodes", "node", "value", "max", "1", "filename", "timestamp", "text"]), inner
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    ["execution_start", "execution_cached", "executing", "progress", "progress_state", "executed", "execution_success",
     "execution_error", "execution_interrupted", "status", "a newer one"]
)  # fmt: skip


# --- frames


@given(st.binary(max_size=64) | st.text(max_size=64))
def test_no_message_can_make_trouble(message: bytes | str) -> None:
    read(message)


@given(st.integers(0, 6), st.integers(0, 2**32 - 1), st.binary(max_size=40))
def test_no_binary_message_can_make_trouble(kind: int, second: int, rest: bytes) -> None:
    read(struct.pack(">II", kind, second) + rest)


@given(JSON)
def test_no_json_message_can_make_trouble(data: Any) -> None:
    read(json.dumps(data))
    read(json.dumps({"type": "executing", "data": data}))


def test_each_kind_of_message_is_read() -> None:
    assert read(preview(b"png")) == Preview("", b"png")
    assert read(preview_with_metadata(b"png", prompt_id="p", node_id="3")) == Preview("p", b"png")
    assert read(node_text("12", "käse")) == NodeText("12", "käse")
    assert read('{"type": "status", "data": {"sid": "x"}}') == Event("status", "", {"sid": "x"})
    assert read(preview_with_metadata(b"png", node_id="3")) is None
    assert read("[" * 100_000) is None


# --- progress


@given(st.lists(st.tuples(KINDS, JSON), max_size=12))
def test_no_event_can_make_trouble_and_the_fraction_never_goes_back(events: list[tuple[str, Any]]) -> None:
    track, before = Track(saving("x")), 0.0
    for kind, data in events:
        track.hear(Event(kind, "x", data if isinstance(data, dict) else {"nodes": data, "node": data}))
        fraction = track.progress().fraction
        assert fraction is None or before <= fraction <= 1
        before = fraction or before


@pytest.mark.parametrize("run", recorded_runs(TRANSCRIPTS / "A_happy_cached.jsonl"), ids=lambda run: run.id[:8])
def test_recorded_runs_come_to_their_whole(run: Any) -> None:
    track = Track(run.graph)
    for message in run.messages:
        track.hear(Event(message["type"], run.id, message["data"]))
    assert track.finished
    assert track.succeeded
    assert track.progress().fraction == 1.0
    assert outputs_of_results(track.outputs, run.graph) == outputs_of_results(run.history["outputs"], run.graph)


def test_without_states_of_nodes_those_that_ran_are_counted() -> None:
    track = Track(saving("x"))
    assert track.progress().phase == "waiting"
    track.hear(Event("execution_start", "x", {"timestamp": 1795351027380}))
    assert track.progress().fraction is None
    track.hear(Event("executing", "x", {"node": "1"}))
    track.hear(Event("executing", "x", {"node": "2"}))
    assert track.progress().fraction == 0.5
    assert track.progress().title == "SaveImage"


# --- the wire


def test_newer_servers_may_say_more() -> None:
    queue = Queue.model_validate(
        {"queue_running": [[5, "a", {}, {}, [], "new"]], "queue_pending": [[9, "c"], [-5.0, "b"], [7], []], "more": 1}
    )
    assert queue.runs("a")
    assert (queue.ahead("b"), queue.ahead("c"), queue.ahead("a")) == (1, 2, None)
    entry = Finished.model_validate({"outputs": None, "status": {"messages": [["x"], ["y", {}, 1], [1, {}]]}, "new": 1})
    assert [name for name, _ in entry.messages()] == ["y"]
    assert not entry.failed


@given(JSON)
def test_a_timestamp_is_a_moment_or_nothing(value: Any) -> None:
    at = moment(value)
    assert at is None or at.utcoffset() is not None


# --- settings


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8188/", "comfyui:127.0.0.1:8188"),
        ("https://gpu.example.com/comfy", "comfyui:gpu.example.com:443"),
        ("http://[::1]:9000", "comfyui:[::1]:9000"),
    ],
)
def test_a_server_is_called_by_its_address(url: str, name: str) -> None:
    (server,) = ComfySettings.model_validate({"servers": [{"url": url}]}).servers
    assert ComfyServer(server).name == name
    assert ComfyServer(server.model_copy(update={"name": "attic"})).name == "attic"


@pytest.mark.parametrize(
    "server",
    [
        {"url": "127.0.0.1:8188"},
        {"url": "ftp://host"},
        {"url": "http://"},
        {"url": "http://me:s3cret@host"},
        {"url": "http://host:99999"},
        {"url": "http://host?x=1"},
        {"url": "http://host", "name": "two words"},
        {"url": "http://host", "weight": 0},
        {"url": "http://host", "places": 0},
        {"url": "http://host", "speed": 3},
        {},
    ],
)
def test_a_server_that_cannot_be_meant_is_refused_without_its_secrets(server: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        ComfySettings.model_validate({"servers": [server]})
    assert "s3cret" not in str(raised.value)


def test_two_servers_have_two_names() -> None:
    with pytest.raises(ValidationError, match="comfyui:host:80"):
        ComfySettings.model_validate({"servers": [{"url": "http://host"}, {"url": "http://host/"}]})


def test_headers_are_secret() -> None:
    settings = ComfySettings.model_validate({"servers": [{"url": "http://host", "headers": {"X-Key": "s3cret"}}]})
    assert "s3cret" not in repr(settings)
    assert settings.servers[0].plain_headers == {"X-Key": "s3cret"}


def test_the_plugin_registers_a_backend_a_server() -> None:
    sections: dict[str, Any] = {}
    backends: list[Any] = []
    Plugin().register_settings(sections.__setitem__)
    assert sections == {"backends.comfyui": ComfySettings}
    chosen = ComfySettings.model_validate({"servers": [{"url": "http://a"}, {"url": "http://b", "name": "bee"}]})
    Plugin().register_backends(backends.append, Settings().with_sections({"backends.comfyui": chosen}))
    assert [backend.name for backend in backends] == ["comfyui:a:80", "bee"]
    Plugin().register_backends(backends.append, Settings())
    assert len(backends) == 2
