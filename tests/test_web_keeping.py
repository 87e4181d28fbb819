"""What the page shows keeps its bytes for as long as it is shown; afterwards they go."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest
import structlog

from chatelier import Blob, ChatelierError, ChatRef, Media, OperatorMust, SystemClock, Tx, Unavailable
from chatelier.core.media.references import BLOB_REFS, BLOBS
from chatelier.core.settings import Retention
from chatelier.platforms.web.adapter import Web
from chatelier.platforms.web.keeping import forget_message, keep, prune
from chatelier.platforms.web.records import CHATS, FILES, MESSAGES, WAITING, Message, file_owner, message_owner
from chatelier.platforms.web.settings import WebSettings
from chatelier.platforms.web.tray import forget
from chatelier.testing import FakeStore, ScriptedGateway
from networks import on_line
from test_web_platform import page
from web_gateway import Running, outgoing, picture, running

T = TypeVar("T")
CHAT = ChatRef(platform="web", chat="somebody", direct=True)


async def stored(web: Running) -> Blob:
    return await web.gateway.blobs.keep(picture())


async def users(web: Running, sha256: str) -> list[str]:
    return [ref.owner for ref in await web.gateway.store.find(BLOB_REFS, {"sha256": sha256})]


async def test_a_shown_picture_is_kept_until_its_message_is_deleted() -> None:
    async with running() as web:
        blob = await stored(web)
        receipt = await web.web.send(outgoing(CHAT, "here", media=[Media(blob=blob, name="fox.png")]))
        assert await users(web, blob.sha256) == [message_owner(receipt.ids[0])]
        await web.web.delete(receipt)
        assert await users(web, blob.sha256) == []


async def test_an_upload_is_kept_and_goes_with_its_time() -> None:
    async with running() as web, page(web) as tab:
        answer = (await tab.upload(picture())).json()
        store = web.gateway.store
        (file,) = await store.find(FILES, order="created_at")
        assert await users(web, file.blob.sha256) == [file_owner(answer["ref"])]
        await prune(store, FILES, SystemClock().now() - timedelta(days=1), forget)
        assert await store.get(FILES, file.key), "it is not old yet"
        await prune(store, FILES, SystemClock().now() + timedelta(days=1), forget)
        assert await store.get(FILES, file.key) is None
        assert await users(web, file.blob.sha256) == []


async def test_what_was_never_sent_goes_after_a_day_and_what_was_sent_stays() -> None:
    async with running() as web, page(web) as tab:
        sent, left = [(await tab.upload(picture(colour))).json()["ref"] for colour in ("gold", "navy")]
        await tab.say(type="say", id="message-1", text="look", files=[sent])
        await tab.hears("ack")
        store = web.gateway.store
        assert [each.key for each in await store.find(WAITING, order="created_at")] == [left]
        await prune(store, WAITING, SystemClock().now() + timedelta(days=1), forget)
        assert [each.key for each in await store.find(FILES, order="created_at")] == [sent]
        assert await store.find(WAITING, order="created_at") == []


async def test_more_old_messages_than_one_transaction_takes_all_go() -> None:
    async with running() as web:
        for n in range(120):
            await web.web.send(outgoing(CHAT, f"message {n}"))
        await prune(web.gateway.store, MESSAGES, SystemClock().now() + timedelta(days=1), forget_message)
        assert await web.gateway.store.find(MESSAGES, order="created_at") == []


class Troubled(FakeStore):
    """Says when somebody met its trouble."""

    def __init__(self, trouble: ChatelierError) -> None:
        super().__init__([MESSAGES, CHATS, FILES, WAITING, BLOBS, BLOB_REFS])
        self.trouble = trouble
        self.met = asyncio.Event()

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        try:
            return await super().atomically(work, soon=soon)
        except ChatelierError:
            self.met.set()
            raise


@pytest.mark.parametrize("trouble", [OperatorMust("The disk is full."), Unavailable("The store is away.")])
async def test_a_store_in_trouble_does_not_take_the_page_off_line(trouble: ChatelierError) -> None:
    gateway, store = ScriptedGateway(), Troubled(trouble)
    gateway.store = store
    web = Web(WebSettings(), Retention())
    with structlog.testing.capture_logs() as lines:
        async with on_line(web, gateway), asyncio.timeout(10):
            await store.met.wait()
            store.trouble = None
            receipt = await web.send(outgoing(CHAT, "well again"))
            assert await store.get(MESSAGES, receipt.ids[0])
            assert web.is_online
    assert [line["reason"] for line in lines] == [str(trouble)]


async def test_what_could_not_be_deleted_goes_with_a_later_round() -> None:
    store = Troubled(OperatorMust("The disk is full."))
    old = Message(key="old", chat="somebody", created_at=SystemClock().now() - timedelta(days=8))
    trouble, store.trouble = store.trouble, None
    await store.atomically(lambda tx: tx.insert(MESSAGES, old))
    store.trouble = trouble
    changes = store.changes(MESSAGES)
    with structlog.testing.capture_logs():
        keeping = asyncio.create_task(keep(store, 7, 7, pause=0.01))
        async with asyncio.timeout(10):
            await store.met.wait()
            store.trouble = None
            while await store.get(MESSAGES, "old"):
                await changes.wait(1)
        keeping.cancel()
        await asyncio.wait([keeping])
