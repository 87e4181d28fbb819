"""Keys of records: random where nobody may guess them, derived where a repeat must find the same."""

import base64
import hashlib
import os
import random
import uuid
from threading import Lock

BUFFER = 1_024
"""Random bytes that are asked for at a time."""


class _Buffered(random.SystemRandom):
    """The system's own randomness, asked for once for many keys; it takes longer to ask than to answer."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = b""
        self._drawing = Lock()
        os.register_at_fork(after_in_child=self._forget)

    def randbytes(self, n: int) -> bytes:
        with self._drawing:
            if len(self._bytes) < n:
                self._bytes = os.urandom(max(n, BUFFER))
            taken, self._bytes = self._bytes[:n], self._bytes[n:]
        return taken

    def getrandbits(self, k: int, /) -> int:
        n = (k + 7) // 8
        return int.from_bytes(self.randbytes(n)) >> (n * 8 - k)

    def _forget(self) -> None:
        """A copy of this process must not give the same keys, nor wait for a thread that it has not."""
        self._bytes, self._drawing = b"", Lock()


source: random.Random = _Buffered()
"""What random keys are made of. A test that must run the same way twice sets another one."""

_READABLE = "abcdefghjkmnpqrstvwxyz23456789"


def token() -> str:
    """22 characters of [A-Za-z0-9_-], 128 random bits."""
    return _text(source.randbytes(16))


def unique() -> str:
    """A UUID of version 4, for what other systems take as their own id."""
    return str(uuid.UUID(int=source.getrandbits(128), version=4))


def readable() -> str:
    """12 characters without look-alikes, 58 random bits: for what people type, such as a job."""
    return "".join(source.choice(_READABLE) for _ in range(12))


def derived(*parts: str) -> str:
    """22 characters of [A-Za-z0-9_-], always the same for the same parts."""
    return _text(hashlib.blake2s("\0".join(parts).encode(), digest_size=16).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
