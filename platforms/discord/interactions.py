"""Answers to an interaction: within three seconds the first one, for fifteen minutes the others.

What an interaction was answered first is known in this process only; another one asks Discord.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import discord
from discord.http import HTTPClient, Route

from chatelier import Exists, Gone, Refused, Store

from .errors import Closed, told
from .limits import TOKEN_SECONDS
from .outbound import ONLY_FOR_ONE
from .records import ANSWERS, Answer

First = Literal["public", "private", "silent", "none"]
"""A place kept for all or for one person, a press that just stops turning, or nothing, as it came too late."""
MESSAGE, DEFERRED, DEFERRED_UPDATE, CHOICES, MODAL = 4, 5, 6, 8, 9
"""Types of first answers."""
LOADING = 1 << 7
"""The flag of a kept place that nothing stands in yet."""
REMEMBERED = 1_000
ACKNOWLEDGE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Door:
    """Through which an interaction is answered while its token is good."""

    id: str
    application: str
    token: str
    is_press: bool = False

    def route(self, method: str, path: str = "") -> Route:
        return Route(
            method,
            f"/webhooks/{{webhook_id}}/{{webhook_token}}{path}",
            webhook_id=int(self.application),
            webhook_token=self.token,
        )


def door_of(native: Mapping[str, str]) -> Door | None:
    """None where what is answered is no interaction, or one that is too old."""
    id_, token = native.get("interaction", ""), native.get("secret.token", "")
    if not (id_.isdecimal() and token) or age(id_) > TOKEN_SECONDS:
        return None
    return Door(id_, native.get("application", "0"), token, is_press="press" in native)


def age(id_: str) -> float:
    """Seconds since Discord made this id."""
    return time.time() - discord.utils.snowflake_time(int(id_)).timestamp()


class Interactions:
    """Those of one connection."""

    def __init__(self, http: HTTPClient, store: Store) -> None:
        self._http = http
        self._store = store
        self._firsts: OrderedDict[str, asyncio.Future[First]] = OrderedDict()

    # --- the first answer

    def expect(self, id_: int) -> None:
        """Its first answer comes in a moment; what else is answered waits for it."""
        self._firsts[str(id_)] = asyncio.get_running_loop().create_future()
        while len(self._firsts) > REMEMBERED:
            _, oldest = self._firsts.popitem(last=False)
            oldest.cancel()

    async def answer(self, id_: int, token: str, type_: int, data: Mapping[str, Any] | None, first: First) -> None:
        """Raises Closed when it is too late, Refused when it was answered before."""
        payload: dict[str, Any] = {"type": type_}
        if data is not None:
            payload["data"] = data
        route = Route("POST", "/interactions/{id}/{token}/callback", id=id_, token=token)
        settled: First = "none"
        try:
            with told():
                await self._http.request(route, json=payload, params={"with_response": 1})
            settled = first
        finally:
            future = self._firsts.get(str(id_))
            if future is not None and not future.done():
                future.set_result(settled)

    async def first(self, door: Door) -> First:
        """How it was answered first."""
        future = self._firsts.get(door.id)
        if future is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                    return await asyncio.shield(future)
            return "none"
        try:
            with told():
                original = await self._http.request(door.route("GET", "/messages/@original"))
        except (Closed, Gone, Refused):
            return "silent"
        flags = int(original.get("flags", 0))
        if door.is_press and not flags & (LOADING | ONLY_FOR_ONE):
            return "silent"  # that is the message with the button
        return "private" if flags & ONLY_FOR_ONE else "public"

    # --- the kept place

    async def takes(self, door: Door, key: str) -> bool:
        """Whether the message with this key stands in the kept place, or may; the first who asks may, for good."""
        try:
            await self._store.atomically(lambda tx: tx.insert(ANSWERS, Answer(key=door.id, by=key, created=tx.now)))
        except Exists:
            found = await self._store.get(ANSWERS, door.id)
            return found is not None and found.by == key
        return True

    async def fill(self, door: Door, request: Mapping[str, Any]) -> dict[str, Any]:
        """Put it in the kept place. Again is no second message. Raises Closed."""
        with told():
            shown: dict[str, Any] = await self._http.request(door.route("PATCH", "/messages/@original"), **request)
        return shown

    async def follow(self, door: Door, request: Mapping[str, Any]) -> dict[str, Any]:
        """Another message behind the first answer. Raises Closed."""
        with told():
            shown: dict[str, Any] = await self._http.request(door.route("POST"), **request, params={"wait": "true"})
        return shown

    async def clear(self, door: Door) -> None:
        """Give the kept place up. While nothing stands in it the next answer would, whoever it is for."""
        original = "/messages/@original"
        with suppress(Closed, Gone, Refused), told():
            await self._http.request(door.route("PATCH", original), json={"content": "…"})
            await self._http.request(door.route("DELETE", original))
