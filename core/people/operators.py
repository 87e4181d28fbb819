"""The operators as people who can be written to: each in a direct chat of their own."""

from collections.abc import Mapping, Sequence

from ..chat.inbox import ARRIVALS
from ..chat.messages import ChatRef, Reply
from ..chat.outbox import Address, post
from ..chat.platform import OpensDirect, Platform
from ..clock import Clock
from ..log import get_logger
from ..storage import Store, Tx
from ..supervise import guarded, in_time, reason

log = get_logger(__name__)

DIRECT_SECONDS = 5.0
"""Until a network that is asked for a direct chat counts as having none."""
LOOKED_THROUGH = 1_000
"""Of the latest messages, those in which a direct chat is looked for where a network opens none by itself."""


class Operators:
    """handles: of the configuration. platforms: by account; read when they are needed."""

    def __init__(self, handles: Sequence[str], platforms: Mapping[str, Platform], store: Store, clock: Clock) -> None:
        self._handles = handles
        self._platforms = platforms
        self._store = store
        self._clock = clock

    async def addresses(self) -> Sequence[Address]:
        """Of each operator who can be written to now. Raises Unavailable."""
        chats = {handle: await self._opened(handle) for handle in self._handles}
        if None in chats.values():
            heard = await self._heard_in()
            chats = {handle: chat or heard.get(handle) for handle, chat in chats.items()}
        return [Address(chat=chat, sender=handle) for handle, chat in chats.items() if chat is not None]

    async def _opened(self, handle: str) -> ChatRef | None:
        """As the handle's network gives it, on the first account that does."""
        network = handle.partition(":")[0].partition("/")[0]  # a handle may name a place of its network, too
        for name, platform in list(self._platforms.items()):
            if name.partition(".")[0] == network and isinstance(platform, OpensDirect):
                try:
                    chat = await in_time(guarded(platform.direct(handle)), self._clock.sleep(DIRECT_SECONDS))
                except Exception as error:  # noqa: BLE001 - a platform's code may raise anything; there is another way
                    log.info("no direct chat", account=name, handle=handle, error=reason(error))
                else:
                    if chat is not None:
                        return chat
        return None

    async def _heard_in(self) -> Mapping[str, ChatRef]:
        """The last direct chat in which each of them wrote, on an account that is configured here."""
        latest = await self._store.find(ARRIVALS, order="received", descending=True, limit=LOOKED_THROUGH)
        chats: dict[str, ChatRef] = {}
        for arrival in latest:
            event = arrival.event
            if event.chat.direct and event.sender in self._handles and event.chat.platform in self._platforms:
                chats.setdefault(event.sender, event.chat)
        return chats


async def tell(tx: Tx, addresses: Sequence[Address], words: str, *, cause: str) -> None:
    """Put it into the outbox for each of them. The same cause twice is Exists."""
    for address in addresses:
        await post(tx, address, [Reply(text=words)], cause=f"{cause} {address.sender}")
