"""A file as a form of `multipart/form-data`, piece by piece: it is never whole in memory, and its length is known before."""

import secrets
from collections.abc import AsyncIterator, Mapping

from chatelier import ChatelierError


class FileForm:
    """One file and some fields. name: ASCII, without quotes; ComfyUI keeps percent signs in other names. size: bytes of the file.

    error: what reading the file came to, when that failed.
    """

    def __init__(self, name: str, mime: str, size: int, fields: Mapping[str, str]) -> None:
        boundary = secrets.token_hex(16)
        told = [_part(boundary, f'name="{key}"') + value + "\r\n" for key, value in fields.items()]
        about = f'name="image"; filename="{name}"\r\nContent-Type: {mime}'
        self._head = ("".join(told) + _part(boundary, about)).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.error: ChatelierError | None = None
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + size + len(self._tail)),
        }

    async def body(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield self._head
        try:
            async for piece in pieces:
                yield piece
        except ChatelierError as error:
            self.error = error
            raise
        yield self._tail


def _part(boundary: str, about: str) -> str:
    return f"--{boundary}\r\nContent-Disposition: form-data; {about}\r\n\r\n"
