"""The server on a real socket, against what a real one was heard to say."""

import asyncio
import json
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from PIL import Image

from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.registry import all_nodes
from sketching import PATIENCE, Served, heard_until_end, node, served, text_to_image, tiny, transcript

PATIENT = 300


def png(colour: str = "red", size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = BytesIO()
    Image.new("RGBA", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


async def finished(server: Served, prompt_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await server.history(prompt_id) is None:
            pass


def shape(message: dict[str, Any]) -> Any:
    """A message without what differs from run to run."""
    data = message["data"]
    match message["type"]:
        case "progress_state":
            return (
                "progress_state",
                {name: (state["value"], state["max"], state["state"]) for name, state in data["nodes"].items()},
            )
        case "executed":
            return (
                "executed",
                data["node"],
                sorted(data["output"]),
                [sorted(place) for place in data["output"].get("images", [])],
            )
        case "executing":
            return ("executing", data["node"], sorted(data))
        case "execution_cached":
            return ("execution_cached", data["nodes"], sorted(data))
        case "status":
            return ("status", sorted(data))
        case kind:
            return (kind, sorted(data))


def recorded(nth: int) -> tuple[dict[str, Any], list[Any]]:
    """The n-th job of the happy transcript: its graph and what its socket heard."""
    lines = transcript("A_happy_cached.jsonl")
    starts = [n for n, line in enumerate(lines) if str(line.get("req", "")).startswith("POST /prompt")]
    heard = [line["msg"] for line in lines[starts[nth] :] if "msg" in line]
    end = next(
        n for n, message in enumerate(heard) if message["type"] == "executing" and message["data"]["node"] is None
    )
    return lines[starts[nth]]["body"]["prompt"], heard[: end + 1]


def without_status(messages: list[Any]) -> list[Any]:
    """How often the queue's length is told depends on who is quicker."""
    return [shape(message) for message in messages if message["type"] != "status"]


async def test_a_job_is_told_as_recorded(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.socket("A") as connection:
        hello = json.loads(await connection.recv())
        assert hello == {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "A"}}
        for nth in range(3):
            graph, expected = recorded(nth)
            prompt_id = await server.submit(graph, client_id="A")
            heard = await heard_until_end(connection, prompt_id)
            assert without_status(heard) == without_status(expected)
            kinds = [message["type"] for message in heard]
            assert kinds.index("status") < kinds.index("execution_start")
            assert kinds[-3:] == ["execution_success", "status", "executing"]


async def test_history_is_there_when_the_end_is_told(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.socket("A", "/api/ws") as connection:
        for seed in range(5):
            prompt_id = await server.submit(tiny(seed), client_id="A", prompt_id=f"job-{seed}")
            assert prompt_id == f"job-{seed}"
            await heard_until_end(connection, prompt_id)
            history = await server.history(prompt_id)
            assert history["status"]["status_str"] == "success"
            assert history["prompt"][1:2] + history["prompt"][4:] == [prompt_id, ["3"]]
            assert history["prompt"][3] == {"client_id": "A"}
            assert [kind for kind, _ in history["status"]["messages"]] == [
                "execution_start",
                "execution_cached",
                "execution_success",
            ]


async def test_previews_come_with_metadata_only_for_those_who_want_it(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.socket("plain") as plain, server.socket("rich") as rich:
        await rich.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        async for frame in rich:
            if json.loads(frame)["type"] == "feature_flags":
                break
        for client, connection, kind in (("plain", plain, 1), ("rich", rich, 4)):
            prompt_id = await server.submit(text_to_image(seed=kind), client_id=client)
            frames = [frame for frame in await heard_until_end(connection, prompt_id) if isinstance(frame, bytes)]
            assert frames
            first, second = struct.unpack(">II", frames[0][:8])
            assert first == kind
            if kind == 1:
                assert second == 1
                assert frames[0][8:10] == b"\xff\xd8"
            else:
                about = json.loads(frames[0][8 : 8 + second])
                assert about["prompt_id"] == prompt_id
                assert about["node_id"] == "3"
                assert about["image_type"] == "image/jpeg"


async def test_a_job_of_nobody_sends_its_progress_to_everybody(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.socket("A") as connection:
        prompt_id = await server.submit(text_to_image())
        kinds = set()
        await finished(server, prompt_id)
        await server.submit(tiny(), client_id="A", prompt_id="last")
        for message in await heard_until_end(connection, "last"):
            if isinstance(message, bytes):
                kinds.add("picture")
            elif message["data"].get("prompt_id") == prompt_id:
                kinds.add(message["type"])
        assert kinds == {"progress", "picture"}


async def test_refusals_and_trouble(tmp_path: Path) -> None:
    async with served(tmp_path, models=Models([])) as server:
        looked_at = 0
        for line in transcript("B_validation_errors.jsonl"):
            if line.get("req") != "POST /prompt":
                continue
            body = line["body"]
            content = b"nope" if isinstance(body, str) else json.dumps(body).encode()
            answer = await server.http.post("/api/prompt", content=content)
            looked_at += 1
            assert answer.status_code == line["status"]
            if line["status"] == 500:
                assert answer.text == line["response"]
            else:
                assert answer.json().get("error") == line["response"].get("error")
                assert set(answer.json()["node_errors"]) == set(line["response"]["node_errors"])
        assert looked_at >= 18


def accepting(classes: dict[str, Any]) -> set[tuple[str, str]]:
    """Class and name of every input that takes any value."""
    return {
        (name, slot)
        for name, body in classes.items()
        for slots in body["input"].values()
        for slot, config in slots.items()
        if len(config) > 1 and config[1].get("accepts_any")
    }


async def test_slots_of_models_say_that_they_take_any_name(tmp_path: Path) -> None:
    slots = {(node.name, slot.name) for node in all_nodes().values() for slot in node.slots if slot.names_model}
    assert len(slots) >= 6
    async with served(tmp_path / "any") as server:
        assert accepting((await server.http.get("/object_info")).json()) == slots
        one = (await server.http.get("/object_info/VAELoader")).json()
        assert one["VAELoader"]["input"]["required"]["vae_name"][1] == {"accepts_any": True}
        graph = text_to_image()
        graph["4"]["inputs"]["ckpt_name"] = 7
        graph["3"]["inputs"]["sampler_name"] = "magic"
        refused = await server.http.post("/prompt", json={"prompt": graph})
        assert {error["type"] for node in refused.json()["node_errors"].values() for error in node["errors"]} == {
            "value_not_in_list"
        }
        assert "accepts_any" not in refused.text
    async with served(tmp_path / "none", models=Models([])) as server:
        assert accepting((await server.http.get("/object_info")).json()) == set()


async def test_numbers_partial_targets_and_secrets(tmp_path: Path) -> None:
    graph = tiny() | {"4": node("PreviewAny", source="hello")}
    async with served(tmp_path) as server, server.socket("A") as connection:
        answer = await server.post(
            "/prompt",
            {
                "prompt": graph, "client_id": "A", "number": -5, "partial_execution_targets": ["4"],
                "extra_data": {"api_key_comfy_org": "SECRET", "other": 1},
            },
        )  # fmt: skip
        assert answer.json()["number"] == -5.0
        await heard_until_end(connection, answer.json()["prompt_id"])
        history = await server.history(answer.json()["prompt_id"])
        assert history["outputs"] == {"4": {"text": ["hello"]}}
        assert history["prompt"][3] == {"other": 1, "client_id": "A"}
        none = await server.post("/prompt", {"prompt": graph, "partial_execution_targets": ["nope"]})
        assert none.json()["error"]["type"] == "prompt_no_outputs"


async def test_queue_cancel_and_interrupt(tmp_path: Path) -> None:
    async with served(tmp_path, seconds=PATIENT) as server, server.socket("A") as connection:
        await server.submit(tiny(), client_id="A", prompt_id="runs")
        async with asyncio.timeout(PATIENCE):
            async for frame in connection:
                if json.loads(frame)["type"] == "executed":
                    break
        await server.submit(tiny(), prompt_id="waits")
        await server.submit(tiny(), prompt_id="goes")
        queue = (await server.http.get("/queue")).json()
        assert [entry[1] for entry in queue["queue_running"]] == ["runs"]
        assert [entry[1] for entry in queue["queue_pending"]] == ["waits", "goes"]
        assert (await server.http.get("/prompt")).json() == {"exec_info": {"queue_remaining": 3}}
        assert (await server.post("/queue", {"delete": ["goes", "runs", "nobody"]})).status_code == 200
        assert (await server.http.get("/prompt")).json()["exec_info"]["queue_remaining"] == 2
        await server.post("/interrupt", {"prompt_id": "waits"})
        assert await server.history("runs") is None
        await server.post("/queue", {"clear": True})
        assert (await server.http.post("/interrupt")).status_code == 200
        heard = await heard_until_end(connection, "runs")
        assert "execution_interrupted" in [message["type"] for message in heard]
        history = await server.history("runs")
        assert (history["status"]["status_str"], history["status"]["completed"]) == ("error", False)
        assert await server.history("goes") is None


async def test_a_client_that_returns_is_told_the_current_node(tmp_path: Path) -> None:
    async with served(tmp_path, seconds=PATIENT) as server:
        async with server.socket("A") as connection:
            await server.submit(text_to_image(), client_id="A")
            async with asyncio.timeout(PATIENCE):
                async for frame in connection:
                    if isinstance(frame, str) and json.loads(frame).get("data", {}).get("node") == "3":
                        break
        async with server.socket("A") as again:
            heard = [json.loads(await again.recv()) for _ in range(2)]
        assert heard[1] == {"type": "executing", "data": {"node": "3"}}


async def test_uploads(tmp_path: Path) -> None:
    async with served(tmp_path) as server:

        async def upload(name: str, data: bytes, **fields: str) -> httpx.Response:
            return await server.http.post("/upload/image", files={"image": (name, data)}, data=fields)

        red = {"name": "red.png", "subfolder": "", "type": "input"}
        assert (await upload("red.png", png())).json() == red
        assert (await upload("red.png", png())).json() == red
        assert (await upload("red.png", png("blue"))).json()["name"] == "red (1).png"
        assert (await upload("red.png", png("blue"), overwrite="true")).json() == red
        assert (tmp_path / "input" / "red.png").read_bytes() == png("blue")
        deep = await upload("a.png", png(), subfolder="my sub/deep", type="temp")
        assert deep.json() == {"name": "a.png", "subfolder": "my sub/deep", "type": "temp"}
        assert (tmp_path / "temp" / "my sub" / "deep" / "a.png").is_file()
        assert (await upload("e.png", png(), subfolder="../../etc")).status_code == 400
        assert (await upload("x.png", png(), type="bogus")).status_code == 500
        assert (await server.http.post("/upload/image", data={"a": "b"})).status_code == 400
        assert (await server.http.post("/upload/image", json={"a": 1})).status_code == 400
        assert not list(tmp_path.parent.glob("*.png"))
        info = (await server.http.get("/object_info/LoadImage")).json()
        assert info["LoadImage"]["input"]["required"]["image"][0] == ["red (1).png", "red.png"]


async def test_a_name_that_climbs_is_refused(tmp_path: Path) -> None:
    boundary = "b"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="../../evil.png"\r\n\r\nx\r\n--{boundary}--\r\n'
    ).encode()
    async with served(tmp_path) as server:
        answer = await server.http.post(
            "/upload/image", content=body, headers={"content-type": f"multipart/form-data; boundary={boundary}"}
        )
        assert answer.status_code == 400
        assert not list(tmp_path.parent.rglob("evil*"))


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("filename=red.png&type=input", 200),
        ("filename=red.png%20%5Binput%5D", 200),
        ("filename=red.png", 404),
        ("filename=../x.png", 400),
        ("filename=/etc/passwd", 400),
        ("filename=red.png&type=bogus", 400),
        ("filename=red.png&type=input&subfolder=../..", 403),
        ("filename=deep%2Fred.png&type=input", 200),
        ("", 404),
        ("filename=note.txt&type=input&preview=webp", 500),
    ],
)
async def test_viewing(query: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "red.png").write_bytes(png())
    (tmp_path / "input" / "note.txt").write_text("hello")
    async with served(tmp_path) as server:
        answer = await server.http.get(f"/view?{query}")
        assert answer.status_code == status
        if status == 200:
            assert answer.content == png()
            assert answer.headers["content-type"] == "image/png"
            assert answer.headers["content-disposition"] == 'filename="red.png"'


async def test_viewing_parts_previews_and_channels(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "red.png").write_bytes(png())
    (tmp_path / "input" / "page.html").write_text("<script>")
    async with served(tmp_path) as server:
        part = await server.http.get("/view?filename=red.png&type=input", headers={"range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, png()[:10])
        head = await server.http.head("/view?filename=red.png&type=input")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(png())))
        for asked, kind in (
            ("preview=webp;50", "webp"),
            ("preview=jpeg;80", "jpeg"),
            ("preview=png", "webp"),
            ("channel=rgb", "png"),
            ("channel=a", "png"),
        ):
            answer = await server.http.get(f"/view?filename=red.png&type=input&{asked}")
            assert answer.headers["content-type"] == f"image/{kind}"
            with Image.open(BytesIO(answer.content)) as shown:
                assert shown.size == (40, 30)
        page = await server.http.get("/view?filename=page.html&type=input")
        assert page.headers["content-type"] == "application/octet-stream"


async def test_the_other_routes(tmp_path: Path) -> None:
    async with served(tmp_path) as server:

        async def get(path: str) -> Any:
            plain, prefixed = (await server.http.get(path)).json(), (await server.http.get(f"/api{path}")).json()
            assert type(plain) is type(prefixed)
            return prefixed

        assert (await get("/system_stats"))["system"]["comfyui_version"] == "0.3.64"
        assert (await get("/features"))["supports_preview_metadata"] is True
        assert "checkpoints" in await get("/models")
        assert "sketch.safetensors" in await get("/models/checkpoints")
        assert (await server.http.get("/models/nope")).status_code == 404
        assert await get("/embeddings") == []
        assert await get("/object_info/Nope") == {}
        assert len(await get("/object_info")) >= 80
        assert await get("/history") == {}
        assert await get("/history/nope") == {}
        assert await get("/queue") == {"queue_running": [], "queue_pending": []}
        assert (await server.post("/free", {"free_memory": True})).status_code == 200
        assert (await server.post("/history", {"delete": ["nope"], "clear": True})).status_code == 200
        assert (await server.http.get("/nosuch")).status_code == 404
        assert "sketch" in (await server.http.get("/")).text


async def test_a_page_of_another_site_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        for origin, status in (
            (f"http://127.0.0.1:{server.port}", 200),
            ("https://evil.example", 403),
            ("http://127.0.0.1:1", 403),
        ):
            assert (await server.http.get("/prompt", headers={"origin": origin})).status_code == status
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(
                f"ws://127.0.0.1:{server.port}/ws", origin=websockets.Origin("https://evil.example")
            )


async def test_too_much_is_refused(tmp_path: Path) -> None:
    async def much() -> Any:
        for _ in range(101):
            yield b" " * 1024 * 1024

    async with served(tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /prompt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 209715200\r\n\r\n")
        assert b" 413 " in await reader.readline()
        writer.close()
        assert (await server.http.post("/prompt", content=much())).status_code == 413


async def test_garbage(tmp_path: Path) -> None:
    async with served(tmp_path, faults=["garbage"]) as server:
        answer = await server.http.get("/object_info")
        assert answer.status_code == 200
        with pytest.raises(ValueError, match="Expecting value"):
            answer.json()


async def test_dropped_sockets(tmp_path: Path) -> None:
    async with served(tmp_path, faults=["drop-socket"]) as server, server.socket("A") as connection:
        prompt_id = await server.submit(tiny(), client_id="A")
        heard = await heard_until_end(connection, prompt_id)
        assert "execution_success" not in [message["type"] for message in heard]
        assert connection.close_code is not None
        await finished(server, prompt_id)


async def test_a_frozen_server_answers_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, faults=["freeze-after:1"]) as server:
        await server.submit(tiny())
        with pytest.raises(httpx.ReadTimeout):
            await server.http.get("/prompt", timeout=0.3)


async def test_late_history(tmp_path: Path) -> None:
    async with served(tmp_path, faults=["late-history:300"]) as server, server.socket("A") as connection:
        prompt_id = await server.submit(tiny(), client_id="A")
        async with asyncio.timeout(PATIENCE):
            async for frame in connection:
                if json.loads(frame)["type"] == "execution_success":
                    break
        assert await server.history(prompt_id) is None


async def test_a_socket_that_takes_an_id_twice_is_forgotten_with_the_first(tmp_path: Path) -> None:
    """ComfyUI's own trap, which clients must know."""
    async with served(tmp_path) as server:
        first, second = await server.socket("A"), await server.socket("A")
        await first.close()
        await second.ping()
        prompt_id = await server.submit(tiny(), client_id="A")
        await finished(server, prompt_id)
        hello = json.loads(await second.recv())
        assert hello["data"]["sid"] == "A"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.recv(), 0.3)
        await second.close()
