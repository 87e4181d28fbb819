"""The guarded fetcher against a hostile server on a real socket, and against a resolver that changes its mind."""

import asyncio
import gzip
import ipaddress
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import Certificate
from chatelier import BadInput
from chatelier.core.media.addresses import is_public, resolve
from chatelier.core.media.fetch import MAX_REDIRECTS, fetch
from files import picture

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("::1/128"))
Write = Callable[[bytes], Awaitable[None]]
Answer = Callable[[Write], Awaitable[None]]


@dataclass(slots=True)
class Server:
    """Answers each path with the raw bytes that a test wrote for it, and remembers what it was asked."""

    port: int = 0
    answers: dict[str, Answer | bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    open_connections: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        self.open_connections += 1
        self.quiet.clear()
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = request.split()[1]
            self.asked.append(path)
            self.headers.append(request)
            answer = self.answers.get(path, ok(b"hello"))
            await (write(answer) if isinstance(answer, bytes) else answer(write))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open_connections -= 1
            if not self.open_connections:
                self.quiet.set()


@asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, host, 0)
    async with listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server
        listener.close()
        await asyncio.wait_for(server.quiet.wait(), 5) if server.asked else None


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(to: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


async def got(url: str, **options: Any) -> bytes:
    settings: dict[str, Any] = {"limit_bytes": 100_000, "seconds": 10, "allow": LOOPBACK, **options}
    async with aclosing(fetch(url, **settings)) as pieces:
        return b"".join([piece async for piece in pieces])


# What works


async def test_a_file_is_fetched(server: Server) -> None:
    server.answers["/cat.png"] = ok(picture())
    assert await got(server.url("/cat.png"), kinds=["image"]) == picture()


async def test_a_large_file_comes_in_pieces(server: Server) -> None:
    body = bytes(range(256)) * 4000
    server.answers["/big"] = ok(body)
    async with aclosing(fetch(server.url("/big"), limit_bytes=2_000_000, seconds=10, allow=LOOPBACK)) as pieces:
        found = [piece async for piece in pieces]
    assert b"".join(found) == body
    assert len(found) > 2


async def test_the_server_sees_the_name_and_is_asked_for_plain_bytes(server: Server) -> None:
    async def named(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    await got(server.url("/a?b=c#d", "cat.example"), resolver=named)
    request = server.headers[0].lower()
    assert server.asked == ["/a?b=c"]
    assert f"host: cat.example:{server.port}\r\n" in request
    assert "accept-encoding: identity\r\n" in request


async def test_redirects_are_followed_and_relative_ones_too(server: Server) -> None:
    server.answers["/a"] = redirect("b?x=1")
    server.answers["/b?x=1"] = redirect(server.url("/c"), 307)
    assert await got(server.url("/a")) == b"hello"
    assert server.asked == ["/a", "/b?x=1", "/c"]


async def test_a_body_without_a_length_is_read_to_its_end(server: Server) -> None:
    server.answers["/"] = b"HTTP/1.1 200 OK\r\n\r\nhello"
    server.answers["/chunked"] = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    )
    assert await got(server.url()) == await got(server.url("/chunked")) == b"hello"


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_what_was_packed_without_being_asked_is_unpacked(
    server: Server, name: str, pack: Callable[[bytes], bytes]
) -> None:
    body = b"hello " * 15_000
    server.answers["/"] = ok(pack(body), f"Content-Encoding: {name}")
    assert await got(server.url()) == body


async def test_the_next_address_is_tried_when_one_does_not_answer(server: Server) -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["::1", "127.0.0.1"]

    assert await got(server.url(host="cat.example"), resolver=two) == b"hello"


async def test_an_ipv6_address_is_reached() -> None:
    async with serving("::1") as server:
        assert await got(server.url(host="[::1]")) == b"hello"
        assert f"host: [::1]:{server.port}" in server.headers[0].lower()


async def test_the_machine_resolves_names() -> None:
    assert set(await resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
    assert await resolve("127.1", 80) == ["127.0.0.1"]


async def test_over_tls_the_certificate_must_be_of_the_name_and_not_of_the_address(
    certificate: Certificate,
) -> None:
    asked = []

    def sni(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        asked.append(name)

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    server = Server()
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(certificate.server)
    inside.sni_callback = sni
    trust = ssl.create_default_context(cafile=certificate.authority)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=inside) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        assert await got(f"https://cat.example:{server.port}/", resolver=here, tls=trust) == b"hello"
        for host in ("dog.example", "127.0.0.1"):
            with pytest.raises(BadInput, match="cannot reach"):
                await got(f"https://{host}:{server.port}/", resolver=here, tls=trust)
        with pytest.raises(BadInput, match="cannot reach"):
            await got(f"https://cat.example:{server.port}/", resolver=here)
        await asyncio.wait_for(server.quiet.wait(), 5)
    assert asked[:2] == ["cat.example", "dog.example"]
    assert server.asked == ["/"]


# Where it does not go


PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "192.88.99.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "100::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.15.0.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("text", PRIVATE)
async def test_no_special_address_is_connected_to(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))

    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["93.184.215.14", text]

    with pytest.raises(BadInput, match="private network"):
        await got("http://innocent.example/", resolver=resolver, allow=())


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_what_python_calls_special_is_never_public(address: Any) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    assert not (special and is_public(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "127.1", "2130706433", "0x7f.0.0.1", "localhost", "[::ffff:127.0.0.1]"]
)
async def test_every_spelling_of_this_machine_is_refused(server: Server, host: str) -> None:
    with pytest.raises(BadInput):
        await got(server.url(host=host), allow=())
    assert server.asked == []


async def test_a_redirect_into_a_private_network_is_refused(server: Server) -> None:
    for target in (
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[fd00::1]/",
        "//192.168.0.1/",
    ):
        server.answers["/"] = redirect(target)
        with pytest.raises(BadInput, match="private network"):
            await got(server.url())


async def test_a_redirect_to_another_scheme_or_with_a_password_is_refused(server: Server) -> None:
    for target in (
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://a:b@127.0.0.1/",
        "http://127.0.0.1:22/",
        "http://[",
        "http:///",
        "http://127.0.0.1:99999999/",
        "http://127.0.0.1:0/",
        "http:8080",
        "javascript:alert(1)",
        "mailto:ada@cat.example",
        "data:image/png;base64,AAAA",
        "http://" + "a." * 200,
        "/" + "a" * 70_000,
        "http://\u00e9\u00ff.example/",
    ):
        server.answers["/"] = redirect(target)
        with pytest.raises(BadInput):
            await got(server.url())
    assert set(server.asked) == {"/"}


async def test_a_name_that_changes_its_answer_leads_nowhere(server: Server) -> None:
    """The name is asked once a hop; the connection goes to the address that was checked."""
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]]
    asked = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return answers[len(asked) - 1]

    server.answers["/"] = redirect("/again")
    with pytest.raises(BadInput, match="private network"):
        await got(server.url(host="rebind.example"), resolver=rebinding)
    assert asked == [("rebind.example", server.port)] * 2
    assert server.asked == ["/"]


async def test_a_redirect_loop_ends(server: Server) -> None:
    server.answers["/"] = redirect("/")
    with pytest.raises(BadInput, match="without end"):
        await got(server.url())
    assert len(server.asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cat.png",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "javascript:alert(1)",
        "http://a\nb/",
        "data:,x",
        "http:127.0.0.1",
        "//127.0.0.1/",
        "http://[::1]x/",
        "http://127.0.0.1:99999/x.png",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:-1/",
        "http://127.0.0.1:" + "9" * 5_000,
        "http://127.0.0.1/" + "a" * 70_000,
        "http://127.0.0.1/\ud800",
        "http://\ud800/",
        "http://\u2460\u2461\u2466.0.0.1/",
        "http://a\u200bb.example/",
        "http://.",
        "http://.cat.example/",
        "http://cat..example/",
        "http://" + "cat." * 70 + "example/",
    ],
)
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="must start with http") as refused:
        await got(url)
    assert len(str(refused.value)) < 200


@given(
    st.text(st.characters(), max_size=20)
    | st.text("htp:/.@[]%#?\\0abf-_ \u3002\ud800", max_size=30).map("http://{}".format)
)
async def test_any_text_as_an_address_is_answered_in_words(text: str) -> None:
    async def private(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    with pytest.raises(BadInput):
        await got(text, resolver=private, allow=())


@pytest.mark.parametrize("host", ["[2606:4700::1111%25lo]", "[2606:4700::1111%1]"])
async def test_an_address_that_names_an_interface_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(BadInput, match="private network"):
        await got(f"http://{host}/")


async def test_a_password_in_the_address_is_refused_and_not_repeated(server: Server) -> None:
    with pytest.raises(BadInput, match="name or password") as refused:
        await got(server.url(host="ada:secret@127.0.0.1"))
    assert "secret" not in str(refused.value)


async def test_ports_where_no_files_are_served_are_refused() -> None:
    for port in (22, 25, 1023):
        with pytest.raises(BadInput, match="port"):
            await got(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 70 + ".example"])
async def test_a_name_that_is_nowhere_is_said_so(host: str) -> None:
    with pytest.raises(BadInput, match="cannot find the server"):
        await got(f"http://{host}/")


async def test_a_resolver_without_an_answer_is_said_so() -> None:
    async def empty(host: str, port: int) -> Sequence[str]:
        return []

    with pytest.raises(BadInput, match=r"cannot find the server cat\.example"):
        await got("http://cat.example/", resolver=empty)


async def test_a_server_that_is_not_there_is_said_so() -> None:
    async with serving() as server:
        url = server.url()
    with pytest.raises(BadInput, match=r"cannot reach 127\.0\.0\.1"):
        await got(url)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_that_speaks_no_tls_or_nothing_is_said_so(said: bytes) -> None:
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()
        writer.close()
        done.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(BadInput, match="cannot reach"):
            await got(f"https://127.0.0.1:{port}/", seconds=1)
        await asyncio.wait_for(done.wait(), 5)


# Too much, too slow, broken


async def test_a_body_without_end_is_cut_off_at_the_limit(server: Server) -> None:
    async def endless(write: Write) -> None:
        await write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await write(b"x" * 10_000)

    server.answers["/"] = endless
    with pytest.raises(BadInput, match="larger than 100 kB"):
        await got(server.url())


async def test_an_announced_length_over_the_limit_is_refused_at_once(server: Server) -> None:
    server.answers["/"] = ok(b"", length=100_001)
    with pytest.raises(BadInput, match="larger than 100 kB"):
        await got(server.url())


async def test_a_length_that_is_too_short_does_not_matter(server: Server) -> None:
    server.answers["/"] = ok(b"hello and more", length=5)
    assert await got(server.url()) == b"hello"


async def test_a_length_that_is_too_long_is_a_broken_file(server: Server) -> None:
    server.answers["/"] = ok(b"hello", length=50)
    with pytest.raises(BadInput, match="broke off"):
        await got(server.url())


@pytest.mark.parametrize("packs", [1, 2])
async def test_a_packed_bomb_is_cut_off_at_the_limit(server: Server, packs: int) -> None:
    bomb = bytes(50_000_000)
    for _ in range(packs):
        bomb = gzip.compress(bomb)
    server.answers["/"] = ok(bomb, "Content-Encoding: " + ", ".join(["gzip"] * packs))
    with pytest.raises(BadInput, match="larger than 100 kB" if packs == 1 else "packs the file"):
        await got(server.url())


async def test_damaged_and_unknown_packing_is_said_so(server: Server) -> None:
    packed = gzip.compress(b"hello" * 100)
    cases = (
        ("gzip", b"not packed", "broke off"),
        ("gzip", packed[:-9], "broke off"),
        ("gzip", packed + packed, "broke off"),
        ("deflate", zlib.compress(b"hello") + b"more", "broke off"),
        ("br", b"x", "packs the file"),
    )
    for name, body, words in cases:
        server.answers["/"] = ok(body, f"Content-Encoding: {name}")
        with pytest.raises(BadInput, match=words):
            await got(server.url())


async def test_a_slow_drip_ends_with_the_time(server: Server) -> None:
    async def drip(write: Write) -> None:
        await write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await write(b"x")
            await asyncio.sleep(0.01)

    server.answers["/"] = drip
    with pytest.raises(BadInput, match=r"longer than 0\.2 seconds"):
        await got(server.url(), seconds=0.2)


async def test_a_slow_header_and_a_slow_resolver_end_with_the_time(server: Server) -> None:
    gone = asyncio.Event()

    async def silent(write: Write) -> None:
        await gone.wait()

    async def lost(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    server.answers["/"] = silent
    with pytest.raises(BadInput, match="longer than"):
        await got(server.url(), seconds=0.1)
    gone.set()
    with pytest.raises(BadInput, match="longer than"):
        await got("http://cat.example/", seconds=0.1, resolver=lost)


async def test_the_time_counts_for_all_hops_together(server: Server) -> None:
    async def slow(write: Write) -> None:
        await asyncio.sleep(0.4)
        await write(redirect("/"))

    server.answers["/"] = slow
    with pytest.raises(BadInput, match="longer than"):
        await got(server.url(), seconds=1)
    assert 1 < len(server.asked) <= 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "nothing at that address"),
        (403, "does not let me in"),
        (500, "an error"),
        (204, "an error"),
        (304, "an error"),
    ],
)
async def test_an_answer_without_a_file_is_said_so(server: Server, status: int, words: str) -> None:
    server.answers["/"] = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(BadInput, match=words):
        await got(server.url())


async def test_an_empty_file_is_said_so(server: Server) -> None:
    server.answers["/"] = ok(b"")
    with pytest.raises(BadInput, match="empty"):
        await got(server.url())


async def test_what_it_is_is_read_from_the_bytes(server: Server) -> None:
    server.answers["/cat.png"] = ok(b"<html>" + b"x" * 9000, "Content-Type: image/png")
    with pytest.raises(BadInput, match=r"not what I need here \(text/plain\)"):
        await got(server.url("/cat.png"), kinds=["image"])


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH\r\n", b"\0\1\2\3", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000, b""]
)
async def test_a_server_that_speaks_nonsense_is_said_so(server: Server, data: bytes) -> None:
    server.answers["/"] = data
    with pytest.raises(BadInput, match="broke off"):
        await got(server.url())


async def test_stopping_early_closes_the_connection(server: Server) -> None:
    async def endless(write: Write) -> None:
        await write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await write(b"x" * 10_000)

    server.answers["/"] = endless
    async with aclosing(fetch(server.url(), limit_bytes=10**9, seconds=10, allow=LOOPBACK)) as pieces:
        assert await anext(pieces)
    await asyncio.wait_for(server.quiet.wait(), 5)
    assert server.open_connections == 0
