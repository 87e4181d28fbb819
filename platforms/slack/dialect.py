"""Documents as rich text: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block.

In mrkdwn a literal `*` cannot be escaped, so what people typed goes into elements of text, which Slack never reads as markup.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from chatelier import (
    Block,
    Bold,
    Break,
    Code,
    CodeBlock,
    Document,
    Heading,
    Inline,
    Italic,
    Link,
    Listing,
    Paragraph,
    PlainDialect,
    Quote,
    Strike,
    Text,
)

Wire = dict[str, Any]
RULE = "———"


class SlackDialect(PlainDialect):
    """The words alone, for notifications and to count; the message itself is `rich_text`."""

    name = "slack-rich-text"

    def rule(self) -> str:
        return RULE


def escaped(text: str) -> str:
    """For a field that Slack reads as mrkdwn. No mention, no link and no channel is left in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def rich_text(document: Document) -> list[Wire]:
    """One block, or none for a document that says nothing."""
    elements = list(_elements(document.blocks))
    return [{"type": "rich_text", "elements": elements}] if elements else []


def _elements(blocks: Iterable[Block]) -> Iterator[Wire]:
    """Neighbours that are lines of text make one section; the others are elements of their own."""
    lines: list[Wire] = []
    for block in blocks:
        own = _own(block)
        if own is None:
            lines = _with_gap(lines, _inline(block, ()), "\n\n")
            continue
        yield from _section(lines)
        lines = []
        yield from own
    yield from _section(lines)


def _section(lines: list[Wire]) -> Iterator[Wire]:
    if lines:
        yield {"type": "rich_text_section", "elements": lines}


def _own(block: Block) -> list[Wire] | None:
    """A block that Slack has an element for; None for lines of text."""
    match block:
        case CodeBlock(text, _):
            return [{"type": "rich_text_preformatted", "elements": _text(text, ())}] if text else []
        case Quote(blocks):
            inner = _flat(blocks, (), "\n\n")
            return [{"type": "rich_text_quote", "elements": inner}] if inner else []
        case Listing(items, start):
            return _list(items, start)
    return None


def _list(items: Sequence[tuple[Block, ...]], start: int | None) -> list[Wire]:
    sections = [{"type": "rich_text_section", "elements": _flat(item, (), "\n") or _text(" ", ())} for item in items]
    if not sections:
        return []
    shown: Wire = {"type": "rich_text_list", "style": "bullet" if start is None else "ordered", "elements": sections}
    if start is not None and start > 1:
        shown["offset"] = start - 1
    return [shown]


def _flat(blocks: Iterable[Block], styles: tuple[str, ...], gap: str) -> list[Wire]:
    """As elements of one section, where Slack nests no further."""
    found: list[Wire] = []
    for block in blocks:
        found = _with_gap(found, _inline(block, styles), gap)
    return found


def _with_gap(before: list[Wire], after: list[Wire], gap: str) -> list[Wire]:
    return [*before, *_text(gap, ()), *after] if before and after else before + after


def _inline(block: Block, styles: tuple[str, ...]) -> list[Wire]:
    match block:
        case Paragraph(children):
            return _inlines(children, styles)
        case Heading(_, children):
            return _inlines(children, (*styles, "bold"))
        case CodeBlock(text, _):
            return _text(text, (*styles, "code"))
        case Quote(blocks):
            return _flat(blocks, styles, "\n")
        case Listing(items, start):
            found: list[Wire] = []
            for n, item in enumerate(items):
                marker = "• " if start is None else f"{start + n}. "
                found = _with_gap(found, [*_text(marker, ()), *_flat(item, styles, "\n")], "\n")
            return found
    return _text(RULE, ())


def _inlines(children: Iterable[Inline], styles: tuple[str, ...]) -> list[Wire]:
    return [element for child in children for element in _one(child, styles)]


def _one(inline: Inline, styles: tuple[str, ...]) -> list[Wire]:
    match inline:
        case Text(text):
            return _text(text, styles)
        case Bold(children):
            return _inlines(children, (*styles, "bold"))
        case Italic(children):
            return _inlines(children, (*styles, "italic"))
        case Strike(children):
            return _inlines(children, (*styles, "strike"))
        case Code(text):
            return _text(text, (*styles, "code"))
        case Link(href, children):
            words = "".join(element["text"] for element in _inlines(children, ()) if "text" in element)
            return [{"type": "link", "url": href, **({"text": words} if words else {}), **_styled(styles)}]
        case Break():
            return _text("\n", ())


def _text(text: str, styles: tuple[str, ...]) -> list[Wire]:
    """Slack refuses an element without text."""
    return [{"type": "text", "text": text, **_styled(styles)}] if text else []


def _styled(styles: tuple[str, ...]) -> Wire:
    return {"style": dict.fromkeys(styles, True)} if styles else {}
