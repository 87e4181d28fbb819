"""Files to and from Slack: https://docs.slack.dev/messaging/working-with-files."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from chatelier import (
    ChatelierError,
    ChatRef,
    Exists,
    Gateway,
    Gone,
    Kind,
    Media,
    Record,
    Refused,
    Tx,
    Unavailable,
    Uncertain,
)

from . import words
from .errors import told
from .limits import FILE_BYTES
from .records import FILES, FORMS, SHARES, SentFile, Share

FILE_SECONDS = 240.0
"""For the bytes of a file to go out; the core gives an answer up after 300 s."""
LOOKS = 12
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""How often Slack is asked whether it is done with a file, and how long in between, in seconds: 20 s in all."""
PIECE = 262_144
REMEMBERED = timedelta(days=30)


class Files:
    """Of one account on line."""

    def __init__(self, account: str, client: AsyncWebClient, session: aiohttp.ClientSession, gateway: Gateway) -> None:
        self._account = account
        self._client = client
        self._session = session
        self._gateway = gateway

    # --- out

    async def known(self, media: Media) -> str:
        """The id of a file with these bytes that is there already, or ""."""
        row = None if media.inline else await self._gateway.store.get(FILES, f"{self._account}.{media.blob.sha256}")
        return row.file if row else ""

    async def picture(self, media: Media) -> str:
        """For a block: uploaded, shown to nobody yet, and worked on to its end. Raises Refused before its bytes are read."""
        file = await self._uploaded(media)
        with told():
            await self._client.files_completeUploadExternal(files=[{"id": file, "title": media.name}])
        await self._until(file, lambda found: bool(found.get("mimetype")))
        if not media.inline:
            await self._keep(FILES, SentFile(key=f"{self._account}.{media.blob.sha256}", file=file, created=_now()))
        return file

    async def share(self, key: str, chat: ChatRef, media: Sequence[Media]) -> str:
        """Files as one message; its timestamp. Begun before: it is looked up, and not shown twice. Raises Uncertain."""
        row = await self._gateway.store.get(SHARES, f"{self._account}.{key}")
        if row is None:
            ids = tuple([await self._uploaded(each) for each in media])
            row = Share(key=f"{self._account}.{key}", files=ids, created=_now())
            await self._gateway.store.atomically(partial(_insert, SHARES, row))
        elif ts := shared_at(await self._info(row.files[0]), chat.chat):
            return ts
        with told():
            await self._client.files_completeUploadExternal(
                files=[{"id": id_, "title": each.name} for id_, each in zip(row.files, media, strict=True)],
                channel_id=chat.chat,
                thread_ts=chat.thread or None,
            )
        found = await self._until(row.files[0], lambda file: bool(shared_at(file, chat.chat)))
        return shared_at(found, chat.chat)

    async def shared(self, key: str, chat: ChatRef) -> str:
        """The timestamp of a share that was begun under this key, or "" where nothing is to be seen of it."""
        row = await self._gateway.store.get(SHARES, f"{self._account}.{key}")
        if row is None:
            return ""
        try:
            return shared_at(await self._info(row.files[0]), chat.chat)
        except Gone:
            return ""

    async def discard(self, files: Sequence[str]) -> None:
        """Previews that nobody sees any more. One that stays is no harm."""
        for file in files:
            try:
                with told():
                    await self._client.files_delete(file=file)
            except ChatelierError:
                return

    async def _uploaded(self, media: Media) -> str:
        """Its bytes are there; nobody can see it yet."""
        size = len(media.inline) or media.blob.size
        if size > FILE_BYTES:
            raise Refused(words.TOO_LARGE.format(name=media.name, megabytes=FILE_BYTES / (1 << 20)))
        with told():
            given = await self._client.files_getUploadURLExternal(filename=media.name, length=size)
        lost: list[ChatelierError] = []
        data: Any = media.inline or self._pieces(media.blob.sha256, lost)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        limit = aiohttp.ClientTimeout(total=FILE_SECONDS)
        try:
            with told():
                async with self._session.post(given["upload_url"], data=data, headers=headers, timeout=limit) as answer:
                    if answer.status != 200:
                        raise Unavailable(f"Slack answers {answer.status} to a file.")  # nobody sees it yet
        except (Uncertain, Unavailable):
            if lost:
                raise lost[0] from None
            raise
        return str(given["file_id"])

    async def _pieces(self, sha256: str, lost: list[ChatelierError]) -> AsyncIterator[bytes]:
        """lost: why it broke off; of that the connection knows only that it did."""
        try:
            async for piece in self._gateway.blobs.open(sha256):
                yield piece
        except ChatelierError as error:
            lost.append(error)
            raise

    async def _info(self, file: str) -> dict[str, Any]:
        with told():
            answer = await self._client.files_info(file=file)
        found: dict[str, Any] = answer["file"]
        return found

    async def _until(self, file: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        pause = FIRST_PAUSE
        for _ in range(LOOKS):
            found = await self._info(file)
            if done(found):
                return found
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
        raise Uncertain(words.NOT_SHARED)

    async def _keep(self, kind: Kind[Any], row: Record) -> None:
        try:
            await self._gateway.store.atomically(partial(_insert, kind, row))
        except ChatelierError:
            return  # what cannot be remembered goes out with its bytes the next time

    async def forget(self, media: Sequence[Media]) -> None:
        """Slack has these no more."""

        async def work(tx: Tx) -> None:
            for each in media:
                await tx.delete(FILES, f"{self._account}.{each.blob.sha256}")

        await self._gateway.store.atomically(work)

    async def forget_old(self) -> None:
        before = datetime.now(UTC) - REMEMBERED
        kinds: tuple[Kind[Any], ...] = (FILES, SHARES, FORMS)
        for kind in kinds:
            while old := await self._gateway.store.find(kind, order="created", until=before):
                await self._gateway.store.atomically(partial(_delete, kind, [row.key for row in old]))

    # --- in

    async def read(self, id_: str) -> AsyncIterator[bytes]:
        """The address takes the bot's token, and answers without it with a page to log in, status 200."""
        found = await self._info(id_)
        url = found.get("url_private_download") or found.get("url_private")
        if not url or found.get("mode") == "tombstone":
            raise Gone(words.FILE_GONE)
        if int(found.get("size") or 0) > FILE_BYTES:
            raise Refused(words.TOO_LARGE.format(name=found.get("name"), megabytes=FILE_BYTES / (1 << 20)))
        headers = {"Authorization": f"Bearer {self._client.token}"}
        limit = aiohttp.ClientTimeout(total=FILE_SECONDS)
        with told():
            async with self._session.get(url, headers=headers, timeout=limit, allow_redirects=False) as answer:
                if answer.status in {404, 410}:
                    raise Gone(words.FILE_GONE)
                is_page = answer.content_type == "text/html" and found.get("mimetype") != "text/html"
                if answer.status != 200 or is_page:
                    raise Refused(words.FILE_CLOSED)
                async for piece in answer.content.iter_chunked(PIECE):
                    yield piece


def shared_at(file: dict[str, Any], channel: str) -> str:
    """The timestamp of the message that shows it there, or ""."""
    shares = file.get("shares") or {}
    for kind in ("public", "private"):
        for share in (shares.get(kind) or {}).get(channel, ()):
            return str(share["ts"])
    return ""


def _now() -> datetime:
    return datetime.now(UTC)


async def _insert(kind: Kind[Any], row: Record, tx: Tx) -> None:
    """Known already: so be it."""
    try:
        await tx.insert(kind, row)
    except Exists:
        return


async def _delete(kind: Kind[Any], keys: Sequence[str], tx: Tx) -> None:
    for key in keys:
        await tx.delete(kind, key)
