"""What somebody may be about to type."""

from ..chat.messages import Choice, Option
from .registry import Registry

MOST = 25
"""As many as every network shows."""


def complete(registry: Registry, command: str, option: str, typed: str) -> tuple[Choice, ...]:
    """Names of commands when `option` is empty, else values of that option. What begins with `typed` first, then what has it inside."""
    if not option:
        return _matching(_names(registry), typed.strip().removeprefix("/"))
    found = registry.get(command)
    asked = next((one for one in found.options if one.name == option), None) if found else None
    return _matching(_values(asked), typed.strip()) if asked else ()


def _names(registry: Registry) -> list[Choice]:
    return [
        Choice(value=command.name, label=f"/{command.name}: {command.summary}")
        for command in registry
        if not command.operators
    ]


def _values(option: Option) -> list[Choice]:
    if option.type == "boolean":
        return [Choice(value="yes"), Choice(value="no")]
    return list(option.choices)


def _matching(choices: list[Choice], typed: str) -> tuple[Choice, ...]:
    sought = typed.casefold()
    ranked = [(rank, choice) for choice in choices if (rank := _rank(choice, sought)) is not None]
    ranked.sort(key=lambda pair: pair[0])
    return tuple(choice for _, choice in ranked[:MOST])


def _rank(choice: Choice, sought: str) -> int | None:
    """0 for a value that begins with it, 1 for a label, 2 and 3 for those with it inside, None for neither."""
    value, label = choice.value.casefold(), choice.label.casefold()
    if value.startswith(sought):
        return 0
    if label.startswith(sought):
        return 1
    if sought in value:
        return 2
    return 3 if sought in label else None
