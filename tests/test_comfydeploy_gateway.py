"""From a person's words at the chat page to a ComfyDeploy account and back, through a whole gateway on a real port."""

import socket
from pathlib import Path

import pytest

from chatelier.plugins.comfydeploy.hooks import PATH
from comfydeploy import NEVER_SECONDS
from gateways import configured, gateway, guest, sentences
from peers.comfydeploy import KEY, PNG, DeployPeer, Run

WORD = "canary-chat-token"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def on_account(folder: Path, peer: DeployPeer, poll_seconds: float, *, port: int = 0) -> Path:
    """With a port webhooks come in by it, and the page wants its token."""
    http = {"port": port, "public_url": f"http://127.0.0.1:{port}", "token": WORD} if port else {"port": 0}
    section = {"api_key": KEY, "base_url": peer.url, "poll_seconds": poll_seconds}
    return configured(folder, http=http, backends={"comfydeploy": section})


async def test_a_deployment_is_a_command_and_its_webhook_brings_the_picture(tmp_path: Path) -> None:
    """The next look would be minutes away."""
    async with DeployPeer().live() as peer:
        config = on_account(tmp_path, peer, NEVER_SECONDS, port=free_port())
        async with gateway(config) as here, guest(here.url, token=WORD) as somebody:
            answer = await somebody.ask("/portrait_studio a red fox --style ink")
            (picture,) = answer.media
            assert await somebody.bytes_of(picture) == PNG
            assert "a red fox" in sentences(answer)
            (body,) = peer.bodies
            assert {"prompt": "a red fox", "style": "ink", "steps": 20}.items() <= body["inputs"].items()
            assert body["webhook"].startswith(here.url + PATH)
            await peer.until(lambda: len(peer.sent) >= 4)
            assert {status for _, status in peer.sent} == {204}


async def test_without_a_public_address_looks_bring_the_picture(tmp_path: Path) -> None:
    async with (
        DeployPeer().live() as peer,
        gateway(on_account(tmp_path, peer, 0.05)) as here,
        guest(here.url) as somebody,
    ):
        answer = await somebody.ask("/portrait_studio a red fox")
        (picture,) = answer.media
        assert await somebody.bytes_of(picture) == PNG
        assert "webhook" not in peer.bodies[0]
        assert not peer.sent
        seeds = {answer["inputs"]["input_seed"] for answer in peer.bodies}
        assert seeds.isdisjoint({42, -1}), "the seed is drawn, whatever the author left in the deployment"


async def test_an_answer_that_was_lost_costs_one_run(tmp_path: Path) -> None:
    async with (
        DeployPeer().live() as peer,
        gateway(on_account(tmp_path, peer, 0.05)) as here,
        guest(here.url) as somebody,
    ):
        peer.queues_then_fails = True
        answer = await somebody.ask("/portrait_studio a red fox")
        assert len(answer.media) == 1
        assert len(peer.runs) == 1


@pytest.mark.parametrize("outputs", [[], [{"data": {"exception_message": "The model is missing."}}]])
async def test_a_run_that_gives_nothing_is_told_in_words(tmp_path: Path, outputs: list[object]) -> None:
    async def script(peer: DeployPeer, run: Run) -> None:
        peer.finish(run, outputs, "failed" if outputs else "success")

    async with (
        DeployPeer(script).live() as peer,
        gateway(on_account(tmp_path, peer, 0.05)) as here,
        guest(here.url) as somebody,
    ):
        answer = await somebody.ask("/portrait_studio a red fox")
        assert not answer.media
        assert ("The model is missing." in sentences(answer)) == bool(outputs)


async def test_a_picture_that_somebody_sends_goes_along(tmp_path: Path) -> None:
    async with (
        DeployPeer().live() as peer,
        gateway(on_account(tmp_path, peer, 0.05)) as here,
        guest(here.url) as somebody,
    ):
        answer = await somebody.ask("/portrait_studio a red fox", await somebody.upload(PNG))
        assert len(answer.media) == 1
        assert PNG[:8] == peer.uploads[peer.bodies[0]["inputs"]["input_image"]][:8]


async def test_a_webhook_finds_its_job_after_a_restart(tmp_path: Path) -> None:
    """The address that was given out before is known to the next process."""
    async with DeployPeer().live() as peer:
        config = on_account(tmp_path, peer, NEVER_SECONDS, port=free_port())
        async with gateway(config) as here, guest(here.url, token=WORD) as somebody:
            await somebody.card("/portrait_studio slow")
            await peer.until(lambda: [run.status for run in peer.runs.values()] == ["running"])
            cookie = somebody.cookie
        (run,) = peer.runs.values()
        looks = peer.requests.count("GET /run/{id}")
        async with gateway(config) as here, guest(here.url, cookie, token=WORD) as somebody:
            await peer.until(lambda: peer.requests.count("GET /run/{id}") > looks)
            peer.finish(run, [peer.output("fox.png")])
            await somebody.until(lambda: [each for each in somebody.heard if each.media])
        assert len(peer.runs) == 1
        assert peer.sent[-1][1] == 204
