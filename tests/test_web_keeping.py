"""What the page shows keeps its bytes for as long as it is shown; afterwards they go."""

from collections.abc import AsyncIterator
from datetime import timedelta

from chatelier import Blob, ChatRef, Media, SystemClock
from chatelier.core.media.references import BLOB_REFS
from chatelier.platforms.web.keeping import prune
from chatelier.platforms.web.records import FILES, MESSAGES, file_owner, message_owner
from test_web_platform import page
from web_gateway import Running, outgoing, picture, running

CHAT = ChatRef(platform="web", chat="somebody", direct=True)


async def stored(web: Running) -> Blob:
    async def chunks() -> AsyncIterator[bytes]:
        yield picture()

    return await web.gateway.blobs.put(chunks())


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
        await prune(store, FILES, SystemClock().now() - timedelta(days=1), file_owner)
        assert await store.get(FILES, file.key), "it is not old yet"
        await prune(store, FILES, SystemClock().now() + timedelta(days=1), file_owner)
        assert await store.get(FILES, file.key) is None
        assert await users(web, file.blob.sha256) == []


async def test_more_old_messages_than_one_transaction_takes_all_go() -> None:
    async with running() as web:
        for n in range(120):
            await web.web.send(outgoing(CHAT, f"message {n}"))
        await prune(web.gateway.store, MESSAGES, SystemClock().now() + timedelta(days=1), message_owner)
        assert await web.gateway.store.find(MESSAGES, order="created_at") == []
