"""Members: a larger allowance and higher limits for some, and a price of one's own for one workflow.

Put this file into a folder and name the folder as `plugins.folder` in config.yaml. Then:

members:
  gold: [telegram:42]
tiers:
  gold: {open_orders: 10}
"""

from collections.abc import Callable

from pydantic import BaseModel, Field

from chatelier import Command, Entry, Job, Person, Register, Section, Settings, hookimpl

GOLD_HOLDING = 1_000_000
"""Makes an allowance of 2,221 points."""


class Members(Section):
    gold: tuple[str, ...] = Field(default=(), description="Handles of the gold members.")


class Plugin:
    def __init__(self) -> None:
        self._gold: frozenset[str] = frozenset()
        self.earned = 0

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register("members", Members)

    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        """The first hook that is given the settings."""
        self._gold = frozenset(settings.of("members", Members).gold)

    @hookimpl
    def tier(self, person: Person) -> str | None:
        return "gold" if self._is_gold(person) else None

    @hookimpl
    def holding(self, person: Person) -> int:
        return GOLD_HOLDING if self._is_gold(person) else 0

    @hookimpl
    def price(self, job: Job) -> int | None:
        """A mirror is always one point."""
        return 1_000 if job.workflow == "mirror" else None

    @hookimpl
    def points_moved(self, entry: Entry) -> None:
        self.earned += sum(posting.amount for posting in entry.postings if posting.account == "revenue")

    def _is_gold(self, person: Person) -> bool:
        return not self._gold.isdisjoint(person.handles)
