"""No pictures at night. Operators are not bound by it."""

from collections.abc import Callable
from datetime import datetime

from pydantic import BaseModel, Field

from chatelier import Call, Command, Event, Register, Reply, Section, Settings, hookimpl

SECTION = "quiet_hours"


class QuietHours(Section):
    """When nothing is made, by this machine's clock."""

    start: int = Field(default=22, ge=0, le=23, description="The hour at which it begins.")
    end: int = Field(default=7, ge=0, le=23, description="The hour at which it ends. The same as `start`: never quiet.")
    commands: tuple[str, ...] = Field(default=("make", "effect", "upscale"), description="What has to wait.")

    def covers(self, moment: datetime) -> bool:
        if self.start <= self.end:
            return self.start <= moment.hour < self.end
        return moment.hour >= self.start or moment.hour < self.end


class Plugin:
    """now: what time it is, so that a test can say."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        self._now = now
        self._hours = QuietHours()
        self._operators: tuple[str, ...] = ()

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, QuietHours)

    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        self._hours = settings.of(SECTION, QuietHours)
        self._operators = settings.operators
        register(Command(name="hours", summary="When pictures are made here", handler=self._tell, group="First steps"))

    @hookimpl
    def admit(self, event: Event, command: str) -> str | None:
        """None lets the call pass; words refuse it."""
        if command not in self._hours.commands or event.sender in self._operators:
            return None
        return self._words() if self._hours.covers(self._now()) else None

    async def _tell(self, call: Call) -> None:
        await call.commit(None, Reply(text=self._words(), private=True))

    def _words(self) -> str:
        return f"It is quiet here from {self._hours.start}:00 to {self._hours.end}:00. Come back after that."
