"""Files that were added and not sent: how many and how large, how they make room again, and that many at once are no more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import Refused
from chatelier.core.media.references import BLOB_REFS
from chatelier.platforms.web.records import FILES, WAITING
from chatelier.platforms.web.settings import WebSettings
from chatelier.platforms.web.tray import Tray
from chatelier.testing import FakeStore
from gateways import configured, gateway, guest
from test_web_platform import Page, page
from web_gateway import Running, picture, running

FEW = WebSettings(waiting_files=3)
SMALL = WebSettings(upload_bytes=100_000, waiting_bytes=100_000)


async def added(tab: Page, count: int) -> list[str]:
    answers = [await tab.upload(b"file %d" % n, f"{n}.txt") for n in range(count)]
    return [answer.json()["ref"] for answer in answers]


async def waiting(here: Running) -> list[str]:
    return [each.key for each in await here.gateway.store.find(WAITING, order="created_at")]


async def test_beyond_the_most_a_file_is_refused_with_what_to_do_and_sending_makes_room() -> None:
    async with running(web=FEW) as here, page(here) as tab:
        refs = await added(tab, 3)
        full = await tab.upload(picture())
        assert full.status_code == 429
        assert "3 files" in full.json()["error"]
        assert "Send some" in full.json()["error"]
        await tab.say(type="say", id="message-1", text="", files=refs[:2])
        await tab.hears("ack")
        assert await waiting(here) == refs[2:]
        assert (await tab.upload(picture())).status_code == 200


async def test_a_file_in_a_form_makes_room_too() -> None:
    async with running(web=FEW) as here, page(here) as tab:
        refs = await added(tab, 3)
        await tab.say(type="submit", id="submit-01", form="f1", values={"image": {"file": refs[0]}})
        await tab.hears("ack")
        assert await waiting(here) == refs[1:]


async def test_what_is_taken_away_makes_room_and_gives_its_bytes_back() -> None:
    async with running(web=FEW) as here, page(here) as tab:
        refs = await added(tab, 3)
        assert await tab.take_away(refs[0]) == 204
        assert await tab.take_away(refs[0]) == 204
        store = here.gateway.store
        assert await store.get(FILES, refs[0]) is None
        assert len([each for ref in refs for each in await store.find(BLOB_REFS, {"owner": f"web_file:{ref}"})]) == 2
        assert (await tab.upload(picture())).status_code == 200


async def test_what_was_sent_and_what_is_others_cannot_be_taken_away() -> None:
    async with running() as here, page(here) as one, page(here) as other:
        sent, mine = await added(one, 2)
        await one.say(type="say", id="message-1", text="", files=[sent])
        await one.hears("ack")
        await one.take_away(sent)
        await other.take_away(mine)
        assert [each.key for each in await here.gateway.store.find(FILES, order="created_at")] == [sent, mine]


async def test_a_message_that_is_refused_leaves_its_files_waiting() -> None:
    async with running() as here, page(here) as tab:
        refs = await added(tab, 1)

        async def no(event: object) -> None:
            raise Refused("Not now.")

        here.gateway.answer = no
        await tab.say(type="say", id="message-1", text="", files=refs)
        await tab.hears("refused")
        assert await waiting(here) == refs
        here.gateway.answer = None
        await tab.say(type="say", id="message-2", text="", files=refs)
        await tab.hears("ack")
        assert await waiting(here) == []


async def test_each_person_has_their_own_room() -> None:
    async with running(web=FEW) as here, page(here) as one, page(here) as other:
        await added(one, 3)
        assert (await other.upload(picture())).status_code == 200


async def test_beyond_the_most_bytes_the_next_is_refused_and_hears_why_though_it_is_large() -> None:
    async with running(web=WebSettings(upload_bytes=5_000_000, waiting_bytes=5_000_000)) as here, page(here) as tab:
        assert (await tab.upload(b"x" * 3_000_000)).status_code == 200
        full = await tab.upload(b"y" * 3_000_000)
        assert full.status_code == 429
        assert "5 MB" in full.json()["error"]
        assert (await tab.upload(b"z" * 1_900_000)).status_code == 200


async def test_one_file_may_always_be_as_large_as_files_may_be() -> None:
    async with running(web=WebSettings(upload_bytes=100_000, waiting_bytes=10)) as here, page(here) as tab:
        assert (await tab.upload(b"x" * 90_000)).status_code == 200
        assert (await tab.upload(b"x")).status_code == 429


async def test_a_file_that_does_not_say_its_length_counts_as_the_largest_until_it_has_come() -> None:
    async def unsaid() -> AsyncIterator[bytes]:
        yield b"short"

    async with running(web=SMALL) as here, page(here) as tab:
        assert (await tab.upload(b"", content=unsaid())).status_code == 200
        assert (await tab.upload(b"x" * 90_000)).status_code == 200
        assert (await tab.upload(b"", content=unsaid())).status_code == 429


@pytest.mark.parametrize("broken", [b"", b"x" * 90_000], ids=["empty", "in no form"])
async def test_a_file_that_was_not_kept_takes_no_room(broken: bytes) -> None:
    async with running(web=SMALL) as here, page(here) as tab:
        headers = {"Content-Type": "multipart/form-data; boundary=none"} if broken else {}
        answer = await tab.upload(b"", content=broken, headers={**tab.headers, **headers})
        assert answer.status_code == 400
        assert await waiting(here) == []


async def test_an_upload_that_breaks_off_takes_no_room() -> None:
    async with running(web=SMALL) as here, page(here) as tab:
        host, port = here.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = [
            "POST /chat/files HTTP/1.1",
            f"Host: {host}:{port}",
            f"Origin: {here.url}",
            f"Cookie: {tab.cookie}",
            "Content-Length: 50000",
        ]
        changes = here.gateway.store.changes(WAITING)
        writer.write("\r\n".join([*head, "", "some of it"]).encode())
        async with asyncio.timeout(10):
            while not await waiting(here):
                await changes.wait(1)
            writer.close()
            while await waiting(here):
                await changes.wait(1)


async def test_many_at_once_are_no_more_than_one_after_the_other(tmp_path: Path) -> None:
    """With the store that ships, whose transactions run on threads."""
    config = configured(tmp_path, platforms={"web": {"waiting_files": 4}})
    async with gateway(config) as here, guest(here.url) as ada:
        posts = [ada.http.post("/chat/files", content=b"%d" % n) for n in range(15)]
        answers = await asyncio.gather(*posts)
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [429] * 11
        assert len(await here.runtime.store.find(WAITING, order="created_at")) == 4


@given(st.lists(st.integers(1, 60), max_size=20))
async def test_whatever_comes_the_bounds_hold(sizes: list[int]) -> None:
    """Each file that has room is taken, and none that has not."""
    bounds = WebSettings(waiting_files=5, waiting_bytes=100, upload_bytes=60)
    async with FakeStore([WAITING, FILES]) as store:
        tray = Tray(store, bounds)
        taken: list[int] = []
        for size in sizes:
            has_room = len(taken) < 5 and (not taken or sum(taken) + size <= 100)
            try:
                await tray.reserve("ada", size)
                taken.append(size)
            except Refused:
                assert not has_room
            else:
                assert has_room
