"""A command, declared once: what it is called, what it takes, who answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..chat.messages import Option

if TYPE_CHECKING:
    from .call import Call

Overlap = Literal["queue", "replace", "concurrent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Declared with the hook `register_commands`, or made from a workflow.

    name, aliases: `[a-z0-9_]{1,32}`. summary: one line, at most 100 characters. details: Markdown for `/help <name>`.
    examples: whole lines as a person would type them. group: the heading it stands under in `/help`.
    private: only the person who asks sees the answer, where the network can do that. operators: nobody else may call it.
    overlap: what happens when the person's previous message is still being answered: wait for it (queue), stop it
    (replace), or go on beside it (concurrent).
    """

    name: str
    summary: str
    handler: Callable[["Call"], Awaitable[None]]
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    details: str = ""
    examples: tuple[str, ...] = ()
    group: str = "More"
    private: bool = False
    operators: bool = False
    overlap: Overlap = "queue"
