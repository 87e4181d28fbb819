"""What every part of the page is made of. What it is given is HTML already, unless it says otherwise."""

from collections.abc import Iterable, Sequence
from html import escape

from chatelier import redact


def told(words: str) -> str:
    """What a plugin, a server or a configuration says, as plain text: any of them may quote a secret."""
    return escape(redact(words))


def section(title: str, body: str, *, wide: bool = False) -> str:
    return f"<section{' class=wide' * wide}><h2>{title}</h2>{body}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], empty: str = "None.") -> str:
    """On a narrow screen each cell says its own heading."""
    body = "".join(
        "<tr>"
        + "".join(f"<td data-head='{name}'>{cell}</td>" for name, cell in zip(head, row, strict=True) if cell or name)
        + "</tr>"
        for row in rows
    )
    if not body:
        return f"<p class='quiet'>{empty}</p>"
    headings = "".join(f"<th scope='col'>{name}</th>" for name in head)
    return f"<table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table>"


def mark(words: str, *, well: bool) -> str:
    """words: plain text."""
    return f"<span class='mark {'well' if well else 'ill'}'>{escape(words)}</span>"


def button(action: str, label: str, what: str = "") -> str:
    """what: it is about, for who hears the page."""
    named = f" aria-label='{label} {what}'" * bool(what)
    return f"<form method='post' action='{action}'><button{named}>{label}</button></form>"
