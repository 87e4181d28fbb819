"""Files that come in by `/chat/files`, and files that are shown by `/chat/media/<id>`."""

from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Message as AsgiMessage

from chatelier import BadInput, Blob, Gone, OperatorMust, Refused, Unavailable

from . import words
from .adapter import Web
from .limits import INLINE_TYPES, NAME
from .people import visitor
from .records import MESSAGES, Shown, WebFile

FORM_OVERHEAD = 64_000
"""Bytes that a multipart form may be longer than its file."""
PIECE = 256 * 1024


class _TooLarge(Exception):
    pass


async def upload(web: Web, request: Request) -> Response:
    """Keep a file for the message that comes after it."""
    limit = web.settings.upload_bytes
    owner = visitor(request)
    if not owner.known:
        return JSONResponse({"error": words.NOT_UNDERSTOOD}, 403)
    try:
        file = await _keep(web, owner.id, _limited(request, limit + FORM_OVERHEAD), limit)
    except _TooLarge:
        return JSONResponse({"error": words.FILE_TOO_LARGE.format(megabytes=limit / 1e6)}, 413)
    except Refused as error:
        return JSONResponse({"error": str(error)}, 429)
    except (HTTPException, ClientDisconnect, Gone):
        return JSONResponse({"error": words.FILE_BROKEN}, 400)
    except BadInput as error:
        return JSONResponse({"error": str(error)}, 400)
    except OperatorMust:
        return JSONResponse({"error": words.NO_ROOM}, 507)
    except Unavailable:
        return JSONResponse({"error": words.TRY_AGAIN}, 503)
    return JSONResponse({"ref": file.key, "name": file.name, "size": file.blob.size})


async def take_away(web: Web, request: Request) -> Response:
    """Forget an upload that will not be sent. Says nothing about what is not there."""
    try:
        await web.tray.take_away(visitor(request).id, request.path_params["ref"])
    except Unavailable:
        return JSONResponse({"error": words.TRY_AGAIN}, 503)
    return Response(status_code=204)


async def show(web: Web, request: Request) -> Response:
    """The bytes of a file in a message. `?download` saves it instead of showing it."""
    media = request.path_params["media"]
    try:
        message = await web.gateway.store.get(MESSAGES, media, by="media_ids")
        shown = next((each for each in message.media if each.id == media), None) if message else None
        if shown is None:
            return PlainTextResponse(words.MEDIA_GONE, 404)
        chunks = web.gateway.blobs.open(shown.blob.sha256)
        first = await anext(chunks, b"")
    except Gone:
        return PlainTextResponse(words.MEDIA_GONE, 410)
    except Unavailable:
        return PlainTextResponse(words.TRY_AGAIN, 503)
    return StreamingResponse(_from(first, chunks), headers=_headers(shown, save="download" in request.query_params))


def _headers(shown: Shown, *, save: bool) -> dict[str, str]:
    """What is not known to be harmless is only ever saved: it could be a page with a script."""
    harmless = shown.blob.mime in INLINE_TYPES
    disposition = "inline" if harmless and not save else "attachment"
    return {
        "Content-Type": shown.blob.mime if harmless else "application/octet-stream",
        "Content-Length": str(shown.blob.size),
        "Content-Disposition": f"{disposition}; filename*=utf-8''{quote(shown.name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=31536000, immutable",
    }


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _limited(request: Request, limit: int) -> Request:
    """The same request, whose body ends with an error when it grows too long, whatever its length was said to be."""
    left = limit

    async def receive() -> AsgiMessage:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooLarge
        return message

    return Request(request.scope, receive)


async def _keep(web: Web, owner: str, request: Request, limit: int) -> WebFile:
    """Its place is counted before its first byte is taken, so that many at once are no more than they may be."""
    try:
        key = await web.tray.reserve(owner, _longest(request, limit))
    except Refused:
        async for _ in request.stream():
            pass  # a browser hears the answer only if it could say all
        raise
    try:
        name, blob = await _take(web, request, limit)
        return await web.tray.fill(key, _plain_name(name, blob), blob)
    except BaseException:
        await web.tray.take_away(owner, key)
        raise


def _longest(request: Request, limit: int) -> int:
    """How many bytes the file has at most."""
    length = request.headers.get("content-length", "")
    return min(int(length), limit) if length.isdecimal() else limit


async def _take(web: Web, request: Request, limit: int) -> tuple[str, Blob]:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return request.query_params.get("name", ""), await web.gateway.blobs.put(
            _counted(request.stream(), limit), limit=limit
        )
    async with request.form(max_files=1, max_fields=1) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadInput(words.FILE_BROKEN)
        return file.filename or "", await web.gateway.blobs.put(_counted(_pieces(file), limit), limit=limit)


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE):
        yield piece


async def _counted(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    taken = 0
    async for chunk in chunks:
        taken += len(chunk)
        if taken > limit:
            raise _TooLarge
        yield chunk


def _plain_name(name: str, blob: Blob) -> str:
    """What the file is called to people; it is never a path."""
    last = name.replace("\\", "/").rpartition("/")[2]
    readable = "".join(character for character in last if character.isprintable()).strip(" .")
    return readable[-NAME:] or f"file{blob.suffix}"
