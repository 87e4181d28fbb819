"""Webhooks: late, early, twice, out of order, forged, or not at all, they change nothing but how soon something is seen."""

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from chatelier import Uncertain
from chatelier.plugins.comfydeploy.hooks import LARGEST_BODY, PATH, Hooks, attempt_in, route
from comfydeploy import NEVER_SECONDS, account, again, attempt, hooked, portrait, submitted, watched
from peers.comfydeploy import DeployPeer, Run, twice_and_out_of_order, with_a_wrong_token
from peers.comfyui import answer

LOOK = "GET /run/{id}"
URL = "https://art.example.com"


# --- tokens


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_token_is_of_one_attempt_and_one_account(one: str, other: str) -> None:
    hooks, strangers = Hooks("key", URL), Hooks("another key", URL)
    assert Hooks("key", "").attempt_of(hooks.token(one)) == one, "a restart, or another process"
    assert attempt_in(hooks.address(one)) == one
    assert strangers.attempt_of(hooks.token(one)) is None
    if one != other:
        assert hooks.attempt_of(hooks.token(one).replace(hooks.token(one).rpartition(".")[2], "0" * 64)) is None
        assert hooks.token(one) != hooks.token(other)


@given(st.text())
def test_no_text_passes_for_a_token(text: str) -> None:
    assert Hooks("key", URL).attempt_of(text) is None


def test_without_a_public_address_there_is_none() -> None:
    assert Hooks("key", "").address("a") == ""
    address = Hooks("key", URL).address("a")
    assert address.startswith(f"{URL}{PATH}a.")
    assert "key" not in address
    assert attempt_in("https://elsewhere.example.com/hook") == ""


# --- the route


@pytest.mark.parametrize(
    ("body", "run"),
    [
        (b'{"run_id": "r1", "status": "success"}', "r1"),
        (b'{"run_id": "../deployments"}', ""),
        (b'{"run_id": "r1/cancel"}', ""),
        (b'{"run_id": 7}', ""),
        (b'{"status": "success"}', ""),
        (b"[]", ""),
        (b"", ""),
        (b"not json", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b'{"run_id": "r1", "x": "' + b"x" * LARGEST_BODY + b'"}', ""),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_whatever_comes_with_a_right_token_is_answered_and_only_an_id_is_read_from_it(
    body: bytes, run: str
) -> None:
    heard: list[tuple[str, str]] = []
    hooks = Hooks("key", "http://test")
    app = Starlette(routes=[route(hooks, lambda *said: heard.append(said))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answered = await client.post(hooks.address("a1"), content=body)
    assert answered.status_code == 204
    assert not answered.content
    assert heard == [("a1", run)]


@pytest.mark.parametrize("token", ["a1", "a1.", ".", "a1.0000", "..", "%2e", "a1.\u00e9"])
async def test_a_wrong_token_is_a_page_that_does_not_exist(token: str) -> None:
    heard: list[tuple[str, str]] = []
    app = Starlette(routes=[route(Hooks("key", "http://test"), lambda *said: heard.append(said))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answered = await client.post(f"http://test{PATH}{token}", json={"run_id": "r1"})
    assert answered.status_code == 404
    assert b"token" not in answered.content
    assert not heard


# --- what they do


async def looked_at(peer: DeployPeer, times: int) -> None:
    await peer.until(lambda: peer.requests.count(LOOK) >= times)


async def test_a_webhook_is_heard_long_before_the_next_look() -> None:
    async with DeployPeer().live() as peer, hooked(peer, poll_seconds=NEVER_SECONDS) as one:
        made, ended = await submitted(one, attempt())
        assert ended.state == "done"
        await peer.until(lambda: len(peer.sent) >= 4)
        assert {status for _, status in peer.sent} == {204}
        assert made.id in peer.bodies[0]["webhook"]
        assert peer.bodies[0]["webhook_intermediate_status"] is False
        async with httpx.AsyncClient() as client:
            late = await client.post(peer.bodies[0]["webhook"], json={"run_id": "r1", "status": "failed"})
        assert late.status_code == 204
        assert await one.find(made) == "ended"


async def test_two_attempts_have_two_tokens() -> None:
    async with DeployPeer().live() as peer, hooked(peer) as one:
        for _ in range(2):
            await one.submit(attempt(portrait("slow")))
        first, second = (body["webhook"] for body in peer.bodies)
        assert first != second


@pytest.mark.parametrize("webhooks", [twice_and_out_of_order, with_a_wrong_token], ids=["twice", "wrong token"])
async def test_what_comes_does_not_change_what_is_true(webhooks: Any) -> None:
    async with DeployPeer().live() as peer, hooked(peer) as one:
        peer.webhooks = webhooks
        _, ended = await submitted(one, attempt())
        assert ended.state == "done"
        assert len(ended.outputs) == 1
        await peer.until(lambda: len(peer.sent) >= 3)
        assert {status for _, status in peer.sent} == {404 if webhooks is with_a_wrong_token else 204}


async def test_without_any_webhook_the_looks_are_enough() -> None:
    async with DeployPeer().live() as peer, hooked(peer) as one:
        peer.silent = True
        _, ended = await submitted(one, attempt())
    assert ended.state == "done"
    assert not peer.sent


async def test_an_end_that_a_webhook_claims_is_not_believed_before_the_run_says_so() -> None:
    async with DeployPeer().live() as peer, hooked(peer, poll_seconds=NEVER_SECONDS) as one:
        made = attempt(portrait("slow"))
        remote = await one.submit(made)
        watching = asyncio.create_task(watched(one, again(made, remote)))
        await peer.until(lambda: LOOK in peer.requests)
        async with httpx.AsyncClient() as client:
            for status in ("success", "failed", "cancelled"):
                looks = peer.requests.count(LOOK)
                forged = {"run_id": remote, "status": status, "outputs": [{"url": "http://evil.example.com/x.png"}]}
                await client.post(peer.bodies[0]["webhook"], json=forged)
                await looked_at(peer, looks + 1)
        assert not watching.done()
        peer.finish(peer.runs[remote], [peer.output("true.png")])
        _, ended = await watching
    assert [output.name for output in ended.outputs] == ["true.png"]


async def test_a_webhook_before_the_answer_to_the_job_is_kept_for_it() -> None:
    async with DeployPeer().live() as peer, hooked(peer, poll_seconds=NEVER_SECONDS) as one:
        await one.describe()
        peer.hold_answer.clear()
        made = attempt()
        submitting = asyncio.create_task(one.submit(made))
        await peer.until(lambda: len(peer.sent) >= 4)
        assert not submitting.done()
        peer.hold_answer.set()
        _, ended = await watched(one, again(made, await submitting))
    assert ended.state == "done"


async def test_a_webhook_tells_which_run_it_is_when_the_answer_was_lost() -> None:
    """Though nobody could look for it."""
    async with DeployPeer().live() as peer, hooked(peer) as one:
        peer.queues_then_fails = True
        peer.faults["GET /v2/workflow/{id}/runs"] = answer(404, {"detail": "Not Found"})
        made = attempt()
        with pytest.raises(Uncertain):
            await one.submit(made)
        await peer.until(lambda: peer.sent)
        assert await one.find(made) in {"running", "ended"}
        _, ended = await watched(one, again(made, made.id))
        assert ended.state == "done"


async def test_a_webhook_cannot_pass_off_another_run_as_this_one() -> None:
    async with DeployPeer().live() as peer, hooked(peer) as one:
        await one.describe()
        mine = attempt()
        peer.runs["theirs"] = Run("theirs", {"inputs": {"chatelier_attempt": "another"}}, "success")
        async with httpx.AsyncClient() as client:
            for run in ("theirs", "nobodys"):
                await client.post(one.hooks.address(mine.id), json={"run_id": run, "status": "success"})
                assert await one.find(mine) == "absent"


async def test_another_process_hears_a_webhook_and_no_harm_is_done() -> None:
    async with DeployPeer().live() as peer, hooked(peer) as there:
        here = account(peer, public_url=there.hooks.address("x").partition(PATH)[0])
        made, ended = await submitted(here, attempt())
        assert ended.state == "done"
        await peer.until(lambda: peer.sent)
        assert {status for _, status in peer.sent} == {204}
        assert await there.find(again(made, made.id)) == "ended"
