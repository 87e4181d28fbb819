"""How documents are written out: plain text, HTML, and the base that the networks' own dialects are made from."""

import html
import re
from itertools import count, repeat
from typing import ClassVar

from .capabilities import Unit
from .document import (
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
    Quote,
    Strike,
    Text,
)
from .markup import SAFE_LINK

TAG = re.compile(r"<[^>]*>")


def measure(text: str, unit: Unit) -> int:
    """The length of a text in a network's unit."""
    match unit:
        case "characters":
            return len(text)
        case "utf16":
            return len(text) + sum(character > "\uffff" for character in text)
        case "bytes":
            return len(text.encode())


class PlainDialect:
    """Text without markup, and the base of every other dialect: override what the network writes otherwise.

    `text` escapes; the other methods get what is already escaped, except `code`, `code_block` and the `href` of `link`.
    """

    name: str = "plain"
    unit: Unit = "characters"
    gap: ClassVar[str] = "\n\n"
    item_gap: ClassVar[str] = "\n"
    """Between two blocks, and between those of one item of a list."""

    def render(self, document: Document) -> str:
        return self.blocks(document.blocks, self.gap)

    def length(self, document: Document) -> int:
        return measure(self.render(document), self.unit)

    def blocks(self, blocks: tuple[Block, ...], gap: str) -> str:
        return gap.join(map(self.block, blocks))

    def block(self, block: Block) -> str:
        match block:
            case Paragraph(children):
                return self.paragraph(self.inlines(children))
            case Heading(level, children):
                return self.heading(level, self.inlines(children))
            case CodeBlock(text, language):
                return self.code_block(text, language)
            case Quote(blocks):
                return self.quote(self.blocks(blocks, self.gap))
            case Listing(items, start):
                return self.listing([self.blocks(item, self.item_gap) for item in items], start)
        return self.rule()

    def inlines(self, children: tuple[Inline, ...]) -> str:
        return "".join(map(self.inline, children))

    def inline(self, inline: Inline) -> str:
        match inline:
            case Text(text):
                return self.text(text)
            case Bold(children):
                return self.bold(self.inlines(children))
            case Italic(children):
                return self.italic(self.inlines(children))
            case Strike(children):
                return self.strike(self.inlines(children))
            case Code(text):
                return self.code(text)
            case Link(href, children):
                return self.link(href, self.inlines(children))
            case Break():
                return self.line_break()

    def text(self, text: str) -> str:
        return text

    def line_break(self) -> str:
        return "\n"

    def bold(self, inner: str) -> str:
        return inner

    def italic(self, inner: str) -> str:
        return inner

    def strike(self, inner: str) -> str:
        return inner

    def code(self, text: str) -> str:
        return self.text(text)

    def link(self, href: str, inner: str) -> str:
        return inner if inner in {href, href.removeprefix("mailto:")} else f"{inner} ({href})"

    def paragraph(self, inner: str) -> str:
        return inner

    def heading(self, level: int, inner: str) -> str:
        return inner

    def code_block(self, text: str, language: str) -> str:
        return self.text(text)

    def quote(self, inner: str) -> str:
        return "> " + inner.replace("\n", "\n> ")

    def listing(self, items: list[str], start: int | None) -> str:
        markers = repeat("- ") if start is None else (f"{number}. " for number in count(start))
        return "\n".join(
            marker + item.replace("\n", "\n" + " " * len(marker)) for marker, item in zip(markers, items, strict=False)
        )

    def rule(self) -> str:
        return "---"


class TagDialect(PlainDialect):
    """The base of dialects that write tags which the network does not count."""

    def length(self, document: Document) -> int:
        return measure(visible(self.render(document)), self.unit)

    def text(self, text: str) -> str:
        return html.escape(text)

    def bold(self, inner: str) -> str:
        return f"<b>{inner}</b>"

    def italic(self, inner: str) -> str:
        return f"<i>{inner}</i>"

    def strike(self, inner: str) -> str:
        return f"<s>{inner}</s>"

    def code(self, text: str) -> str:
        return f"<code>{html.escape(text)}</code>"

    def code_block(self, text: str, language: str) -> str:
        return f"<pre>{html.escape(text)}</pre>"

    def link(self, href: str, inner: str) -> str:
        return f'<a href="{html.escape(href)}">{inner}</a>' if SAFE_LINK.match(href) else inner


class HtmlDialect(TagDialect):
    """For a web page: a few harmless tags, and no attributes but those of links and of a list's first number.

    A page that shows it should keep spaces (`white-space: pre-wrap`).
    """

    name = "html"
    gap = ""
    item_gap = ""

    def line_break(self) -> str:
        return "<br>"

    def bold(self, inner: str) -> str:
        return f"<strong>{inner}</strong>"

    def italic(self, inner: str) -> str:
        return f"<em>{inner}</em>"

    def strike(self, inner: str) -> str:
        return f"<del>{inner}</del>"

    def link(self, href: str, inner: str) -> str:
        if not SAFE_LINK.match(href):
            return inner
        return f'<a href="{html.escape(href)}" rel="noopener noreferrer" target="_blank">{inner}</a>'

    def paragraph(self, inner: str) -> str:
        return f"<p>{inner}</p>"

    def heading(self, level: int, inner: str) -> str:
        # The page keeps h1 and h2 for itself.
        tag = f"h{min(level + 2, 6)}"
        return f"<{tag}>{inner}</{tag}>"

    def code_block(self, text: str, language: str) -> str:
        return f"<pre><code>{html.escape(text)}</code></pre>"

    def quote(self, inner: str) -> str:
        return f"<blockquote>{inner}</blockquote>"

    def listing(self, items: list[str], start: int | None) -> str:
        tag = "ul" if start is None else "ol"
        first = "" if start in {None, 1} else f' start="{start}"'
        return f"<{tag}{first}>" + "".join(f"<li>{item}</li>" for item in items) + f"</{tag}>"

    def rule(self) -> str:
        return "<hr>"


def visible(markup: str) -> str:
    """What is left to read of a `TagDialect`'s output."""
    return html.unescape(TAG.sub("", markup.replace("<br>", "\n")))


PLAIN = PlainDialect()
