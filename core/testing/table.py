"""What was proved of platforms, and what they declare, as Markdown tables."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

from ..chat.capabilities import Capabilities
from .platform_suite import PLATFORM_CHECKS, Finding


def table(found: Mapping[str, Sequence[Finding]]) -> str:
    """A row a check, a column a platform. found: by the platform's name, "" where there is only one."""
    head = ["check", *(name or "outcome" for name in found)]
    rows = [
        [check.__name__.replace("_", " "), *(_cell(check.__name__, findings) for findings in found.values())]
        for check in PLATFORM_CHECKS
    ]
    return _drawn([head, *rows])


def capability_table(declared: Mapping[str, Capabilities]) -> str:
    """A row a capability, a column a platform. declared: by the platform's name."""
    rows = [
        [field.name.replace("_", " "), *(_told(getattr(can, field.name)) for can in declared.values())]
        for field in fields(Capabilities)
    ]
    return _drawn([["capability", *declared], *rows])


def _drawn(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cell(check: str, found: Sequence[Finding]) -> str:
    finding = next((each for each in found if each.check == check), None)
    if finding is None:
        return "not run"
    said = " ".join(finding.said.split()).replace("|", "\\|")
    return f"failed: {said}" if finding.outcome == "failed" else said or finding.outcome


def _told(value: Any) -> str:
    """A capability as people read it: sizes in bytes, rules by their fields that are not as usual."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:,}" if value else "no limit"
        case frozenset():
            by_class = groupby(sorted(value), lambda mime: mime.partition("/")[0])
            return (
                "; ".join(f"{name}: {', '.join(m.partition('/')[2] for m in mimes)}" for name, mimes in by_class)
                or "none"
            )
        case Mapping():
            return ", ".join(f"{kind or 'any'} {size:,}" for kind, size in value.items()) or "any size"
    if hasattr(value, "unit"):
        return f"{value.name}, in {value.unit}"
    if value == type(value)():
        return "none"
    told = {field.name.replace("_", " "): getattr(value, field.name) for field in fields(value)}
    return ", ".join(f"{name} {n:,}" for name, n in told.items() if n)
