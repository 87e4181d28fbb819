"""The fake and SQLite keep the same contract."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from chatelier import Kind, Store
from chatelier.core.testing.clock import FakeClock
from chatelier.core.testing.store import FakeStore
from chatelier.core.testing.store_suite import STORE_CHECKS, MakeStore
from chatelier.plugins.sqlite import open_sqlite


def fake(kinds: Sequence[Kind[Any]], clock: FakeClock) -> AbstractAsyncContextManager[Store]:
    return FakeStore(kinds, clock)


@pytest.fixture(params=["fake", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    if request.param == "fake":
        return fake
    return lambda kinds, clock: open_sqlite(f"sqlite://{tmp_path}/new/folder/store.db", kinds, clock)


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_store_keeps_the_contract(check: Callable[[MakeStore], Awaitable[None]], make: MakeStore) -> None:
    await check(make)


def test_suite_has_all_its_checks() -> None:
    assert len(set(STORE_CHECKS)) >= 28
    assert all(check.__doc__ or check.__name__ for check in STORE_CHECKS)
