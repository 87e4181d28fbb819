"""Moments, as every store keeps them."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from pydantic import PlainSerializer


@lru_cache(maxsize=1_024)
def as_text(moment: datetime) -> str:
    """`2026-11-22T14:00:00.000Z`: always of one length, so that texts sort as the moments pass."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


Time = Annotated[datetime, PlainSerializer(as_text, return_type=str, when_used="json")]
"""The type of every moment in a record: aware UTC, kept to the millisecond."""
