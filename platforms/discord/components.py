"""Buttons ↔ Discord's components: up to 25 are buttons, more are menus of 25 choices each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatelier import Button

from . import words
from .limits import MENU, PER_ROW, ROWS

ROW, BUTTON, CHOICE_MENU = 1, 2, 3
"""Types of components."""
STYLES = {"primary": 1, "normal": 2, "danger": 4}
LINK_STYLE = 5
MENU_PREFIX = "menu."
AGAIN = "¦"
"""Before the number of a payload that stands in the message more than once: Discord takes each id only once."""


def rows(buttons: Sequence[Sequence[Button]]) -> list[dict[str, Any]]:
    """In the rows that they came in, if there are no more than five; otherwise as many in a row as go, or in menus."""
    seen: Counter[str] = Counter()
    grouped = [[_Named(button, _id(button, seen)) for button in row] for row in buttons]
    every = [one for row in grouped for one in row]
    if len(every) > ROWS * PER_ROW:
        links = [one for one in every if one.button.url]
        pressed = [one for one in every if not one.button.url]
        menus = [_menu(part, n * MENU) for n, part in enumerate(_parts(pressed, MENU))]
        return [*menus, *map(_row, _parts(links, PER_ROW))]
    return [_row(row) for row in (grouped if len(grouped) <= ROWS else _parts(every, PER_ROW))]


def payload_of(data: Mapping[str, Any]) -> str:
    """What the button or the choice that was pressed carries."""
    values = data.get("values") or ()
    pressed = str(values[0]) if data.get("component_type") == CHOICE_MENU and values else str(data.get("custom_id", ""))
    return pressed.partition(AGAIN)[0]


@dataclass(frozen=True, slots=True)
class _Named:
    button: Button
    id: str


def _id(button: Button, seen: Counter[str]) -> str:
    """Its payload, with a number from the second time on."""
    seen[button.payload] += 1
    n = seen[button.payload]
    return button.payload if n == 1 else f"{button.payload}{AGAIN}{n}"


def _parts(all_: Sequence[_Named], size: int) -> list[Sequence[_Named]]:
    return [all_[start : start + size] for start in range(0, len(all_), size)]


def _row(row: Sequence[_Named]) -> dict[str, Any]:
    return {"type": ROW, "components": [_button(one) for one in row]}


def _button(one: _Named) -> dict[str, Any]:
    if one.button.url:
        return {"type": BUTTON, "style": LINK_STYLE, "label": one.button.label, "url": one.button.url}
    return {"type": BUTTON, "style": STYLES[one.button.style], "label": one.button.label, "custom_id": one.id}


def _menu(choices: Sequence[_Named], start: int) -> dict[str, Any]:
    menu = {
        "type": CHOICE_MENU,
        "custom_id": f"{MENU_PREFIX}{start}",
        "placeholder": words.menu(start + 1, start + len(choices)),
        "options": [{"label": one.button.label, "value": one.id} for one in choices],
    }
    return {"type": ROW, "components": [menu]}
