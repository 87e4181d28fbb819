"""Keys of records: random where nobody may guess them, derived where a repeat must find the same."""

import base64
import hashlib
import secrets

_READABLE = "abcdefghjkmnpqrstvwxyz23456789"


def token() -> str:
    """22 characters of [A-Za-z0-9_-], 128 random bits."""
    return secrets.token_urlsafe(16)


def readable() -> str:
    """12 characters without look-alikes, 58 random bits: for what people type, such as a job."""
    return "".join(secrets.choice(_READABLE) for _ in range(12))


def derived(*parts: str) -> str:
    """22 characters of [A-Za-z0-9_-], always the same for the same parts."""
    digest = hashlib.blake2s("\0".join(parts).encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
