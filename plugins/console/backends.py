"""The backends, as the gateway knows them already: nobody is asked for this table."""

from datetime import datetime
from html import escape
from urllib.parse import quote

from chatelier import Member, Runtime

from .pieces import button, mark, table, told

HEAD = ("backend", "state", "running", "waiting", "ours", "detail", "action")
ACTIONS = {
    "drain": {"draining": True},
    "disable": {"disabled": True},
    "enable": {"draining": False, "disabled": False},
}
"""What each button changes in the standing of a backend."""


def backends(runtime: Runtime) -> str:
    now, monotonic = runtime.clock.now(), runtime.clock.monotonic()
    return table(HEAD, (_row(member, now, monotonic) for member in runtime.fleet.members.values()))


def _row(member: Member, now: datetime, monotonic: float) -> tuple[str, ...]:
    found = member.description
    return (
        f"<b>{escape(member.name)}</b>{_set(member)}",
        _state(member, now),
        str(found.running) if member.answers else "",
        str(found.waiting) if member.answers else "",
        f"{len(member.given)} of {found.places}" + _fewer(member, monotonic),
        told(found.detail if member.answers else member.error),
        _buttons(member),
    )


def _set(member: Member) -> str:
    """Its tags and its weight, where there is anything to say about them."""
    tags = ", ".join(sorted(member.tags))
    weight = f"weight {member.weight:g}" if member.weight != 1 else ""
    said = " · ".join(part for part in (tags, weight) if part)
    return f" <span class='quiet'>{escape(said)}</span>" * bool(said)


def _state(member: Member, now: datetime) -> str:
    if member.answers:
        words = mark("up", well=True)
    elif member.state == "up":
        words = mark("does not answer", well=False)
    elif member.state == "down":
        words = mark(f"down since {_moment(member.since, now)}", well=False)
    else:
        words = mark("starting", well=True)
    if member.standing.is_open:
        return words
    return f"{words} <span class='kept'>{'disabled' if member.standing.disabled else 'draining'}</span>"


def _moment(moment: datetime, now: datetime) -> str:
    return f"{moment:%H:%M} UTC" if (now - moment).days < 1 else f"{moment:%Y-%m-%d}"


def _fewer(member: Member, monotonic: float) -> str:
    """Why it has fewer places now than it usually has."""
    places = member.places(monotonic)
    left_alone = member.breaker.is_broken or (member.takes_jobs and places < member.description.places)
    return f" <span class='quiet'>({places} for now: it failed several times)</span>" * left_alone


def _buttons(member: Member) -> str:
    name, what = quote(member.name, safe=""), escape(member.name)
    if not member.standing.is_open:
        return button(f"/console/backends/enable/{name}", "Enable", what)
    return button(f"/console/backends/drain/{name}", "Drain", what) + button(
        f"/console/backends/disable/{name}", "Disable", what
    )
