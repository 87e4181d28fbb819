"""MongoDB on a real mongod: the contract, its errors, several processes, and a server that is killed."""

from collections.abc import Awaitable, Callable

import pytest

from chatelier.core.testing.store_suite import STORE_CHECKS, MakeStore
from chatelier.plugins.mongo import open_mongo


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_store_keeps_the_contract(check: Callable[[MakeStore], Awaitable[None]], mongo_url: str) -> None:
    await check(lambda kinds, clock: open_mongo(mongo_url, kinds, clock))
