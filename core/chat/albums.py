"""Pictures that were sent together come as a message each; they become the one event that their sender meant."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ..values import replace
from .inbox import Arrival, conversation
from .messages import Event, Said

JOIN_SECONDS = 0.7
"""After the last message of an album, until it is taken for whole. Telegram sends them within a few tenths of a second."""

AlbumKey = tuple[str, str, str]


@dataclass(slots=True)
class Album:
    """What has come of it so far. last_at: when the latest message came, on the monotonic clock.

    task: that waits for the rest of it. is_replaced: a later event took its place.
    """

    parts: list[Arrival]
    last_at: float
    task: asyncio.Task[None] | None = None
    is_replaced: bool = False


def album_of(event: Event) -> AlbumKey | None:
    """Conversation, sender and the network's id of the album that this is a part of."""
    if isinstance(event.body, Said) and event.body.album:
        return conversation(event.chat), event.sender, event.body.album
    return None


def joined(parts: Sequence[Arrival]) -> Arrival:
    """The part with the words, or the first one, with the files of all in the order in which they were sent."""
    in_order = sorted(parts, key=lambda part: (len(part.event.keys[-1]), part.event.keys[-1]))
    bodies = {part.key: part.event.body for part in in_order if isinstance(part.event.body, Said)}
    main = next((part for part in in_order if part.key in bodies and bodies[part.key].text), in_order[0])
    said = replace(bodies[main.key], files=tuple(file for body in bodies.values() for file in body.files), album="")
    return replace(main, event=replace(main.event, body=said))
