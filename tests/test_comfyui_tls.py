"""Servers behind a proxy: its certificates, and ours."""

from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from certificates import Certificate, issued
from chatelier import Unavailable
from chatelier.plugins.comfyui.settings import ServerSettings
from comfyui import attempt, server, serving, submitted
from peers.comfyui import ComfyPeer


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For the address that the server has."""
    return issued(tmp_path_factory.mktemp("here"), "127.0.0.1")


async def works(peer: ComfyPeer, **settings: Any) -> bool:
    """By HTTP and by its socket: nothing was asked for that an event could tell."""
    async with serving(peer, **settings) as comfy:
        _, ended = await submitted(comfy, attempt())
    return ended.state == "done" and "GET /ws" in peer.requests


async def test_a_certificate_of_ones_own_is_taken_only_when_the_operator_says_so(
    here: Certificate, certificate: Certificate
) -> None:
    async with ComfyPeer(certificate=here.server).live() as peer:
        with pytest.raises(Unavailable, match=r"ca_file.*verify_tls"):
            await server(peer).describe()
        with pytest.raises(Unavailable, match="not trusted"):
            await server(peer, ca_file=certificate.authority).describe()
        assert await works(peer, ca_file=here.authority)
        assert await works(peer, verify_tls=False)


async def test_a_certificate_for_another_name_is_not_taken_though_its_signer_is_trusted(
    certificate: Certificate,
) -> None:
    async with ComfyPeer(certificate=certificate.server).live() as peer:
        with pytest.raises(Unavailable, match="not trusted"):
            await server(peer, ca_file=certificate.authority).describe()


async def test_a_proxy_that_asks_who_calls_is_shown_a_certificate(here: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(here.client.read_bytes() + here.client_key.read_bytes())
    async with ComfyPeer(certificate=here.server, asks_who=here.authority).live() as peer:
        with pytest.raises(Unavailable, match="client_certificate"):
            await server(peer, ca_file=here.authority).describe()
        shown: dict[str, Any] = {"ca_file": here.authority, "client_certificate": here.client}
        assert await works(peer, **shown, client_key=here.client_key)
        assert await works(peer, ca_file=here.authority, client_certificate=both)


async def test_headers_go_with_every_call_and_with_the_socket() -> None:
    async with ComfyPeer().live() as peer:
        assert await works(peer, headers={"Authorization": "Bearer s3cret", "X-Team": "cats"})
    assert peer.headers
    assert {(said["authorization"], said["x-team"]) for said in peer.headers} == {("Bearer s3cret", "cats")}


def test_files_that_cannot_be_meant_are_named_when_the_configuration_is_read(here: Certificate, tmp_path: Path) -> None:
    key = load_pem_private_key(here.client_key.read_bytes(), None)
    locked, text, other = tmp_path / "locked.pem", tmp_path / "text.pem", tmp_path / "other.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret")))
    text.write_text("no certificate")
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(other))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ca_file": tmp_path / "missing.pem"}, "ca_file"),
        ({"ca_file": text}, "ca_file"),
        ({"client_certificate": text}, "client_certificate"),
        ({"client_certificate": here.client}, "client_key"),
        ({"client_certificate": here.client, "client_key": other}, "client_key"),
        ({"client_certificate": here.client, "client_key": locked}, "password"),
        ({"client_key": here.client_key}, "client_certificate"),
        ({"url": "http://host", "ca_file": here.authority}, "https"),
    ]
    for settings, words in wrong:
        with pytest.raises(ValidationError, match=words):
            ServerSettings(**{"url": "https://host", **settings})
