"""Keys of records: random where nobody may guess them, derived where a repeat must find the same."""

import base64
import hashlib
import random
import uuid

source: random.Random = random.SystemRandom()
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
