"""Markdown → Document, and the few functions that put foreign words into Markdown."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

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
    Rule,
    Strike,
    Text,
)

SAFE_LINK = re.compile(r"https?://|mailto:", re.IGNORECASE)
LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
EDGE_SPACE = re.compile(r"\A\s+|\s+\Z")
BACKTICKS = re.compile(r"`+")

# Deeper nesting than this is dropped by the parser; its own default is 20.
MARKDOWN = MarkdownIt("commonmark", {"html": False, "maxNesting": 100}).enable("strikethrough")


def document(text: str) -> Document:
    """Parse CommonMark with strikethrough.

    HTML and pictures become text, line ends within a paragraph are kept, and a link to anything but http, https or mailto is its words.
    """
    return Document(_blocks(iter(MARKDOWN.parse(clean(text)))))


def escape(text: str) -> str:
    """Markdown that shows `text` literally, anywhere but within code. Control characters are dropped."""
    # A line end as an entity can neither begin a block nor end the one it stands in.
    marked = PUNCTUATION.sub(r"\\\1", clean(text)).replace("\n", "&#10;")
    return EDGE_SPACE.sub(lambda space: "".join(f"&#{ord(character)};" for character in space.group()), marked)


def code(text: str) -> str:
    """Markdown that shows `text` in fixed width within a line."""
    line = clean(text).replace("\n", " ")
    if not line.strip():
        return ""
    ticks = "`" * (_longest_ticks(line) + 1)
    padding = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{ticks}{padding}{line}{padding}{ticks}"


def fence(text: str, language: str = "") -> str:
    """Markdown that shows `text` as a block of code; it starts and ends a line of its own."""
    ticks = "`" * max(3, _longest_ticks(text) + 1)
    return f"{ticks}{language}\n{clean(text)}\n{ticks}"


def clean(text: str) -> str:
    """Line ends as "\\n", without control characters; half a surrogate pair becomes U+FFFD."""
    if text.isprintable():
        return text
    return "".join(filter(None, map(_printable, text.replace("\r\n", "\n").replace("\r", "\n"))))


def lines(text: str) -> tuple[Inline, ...]:
    """Literal text with its line ends as breaks."""
    return tuple(_joined(_text(text)))


def _printable(character: str) -> str:
    match unicodedata.category(character):
        case "Cc" if character not in "\n\t":
            return ""
        case "Cs":
            return "\ufffd"
    return character


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in BACKTICKS.findall(text)), default=0)


def _blocks(tokens: Iterator[Token], closing: str = "") -> tuple[Block, ...]:
    """The blocks up to the token type `closing`, which is consumed."""
    found: list[Block] = []
    for token in tokens:
        if token.type == closing:
            break
        if block := _block(token, tokens):
            found.append(block)
    return tuple(found)


def _block(token: Token, tokens: Iterator[Token]) -> Block | None:
    match token.type:
        case "paragraph_open":
            children = _line(tokens)
            return Paragraph(children) if children else None
        case "heading_open":
            children = _line(tokens)
            return Heading(int(token.tag[1:]), children) if children else None
        case "fence" | "code_block":
            language = token.info.strip().partition(" ")[0]
            return CodeBlock(token.content.removesuffix("\n"), language if LANGUAGE.fullmatch(language) else "")
        case "blockquote_open":
            return Quote(_blocks(tokens, "blockquote_close"))
        case "bullet_list_open":
            return Listing(_items(tokens, "bullet_list_close"))
        case "ordered_list_open":
            return Listing(_items(tokens, "ordered_list_close"), int(token.attrs.get("start", 1)))
    return Rule()


def _line(tokens: Iterator[Token]) -> tuple[Inline, ...]:
    """The inline token of a paragraph or heading; its closing token is consumed too."""
    children = next(tokens).children or []
    next(tokens)
    return _inlines(children)


def _items(tokens: Iterator[Token], closing: str) -> tuple[tuple[Block, ...], ...]:
    found: list[tuple[Block, ...]] = []
    for token in tokens:
        if token.type == closing:
            break
        found.append(_blocks(tokens, "list_item_close"))
    return tuple(found)


def _inlines(tokens: Sequence[Token]) -> tuple[Inline, ...]:
    return tuple(_joined(_inline_until(iter(tokens))))


def _inline_until(tokens: Iterator[Token], closing: str = "") -> Iterator[Inline]:
    for token in tokens:
        if token.type == closing:
            return
        yield from _inline(token, tokens)


def _inline(token: Token, tokens: Iterator[Token]) -> Iterable[Inline]:
    match token.type:
        case "text":
            return _text(token.content)
        case "softbreak" | "hardbreak":
            return (Break(),)
        case "code_inline":
            return (Code(token.content),)
        case "image":
            return _inlines(token.children or []) or _text(str(token.attrs["src"]))
    inner = tuple(_joined(_inline_until(tokens, token.type.replace("_open", "_close"))))
    match token.type:
        case "link_open":
            return _link(str(token.attrs["href"]), inner)
        case "strong_open":
            return (Bold(inner),)
        case "em_open":
            return (Italic(inner),)
    return (Strike(inner),)


def _link(href: str, inner: tuple[Inline, ...]) -> tuple[Inline, ...]:
    if not SAFE_LINK.match(href):
        return inner
    return (Link(href, inner or (Text(href),)),)


def _text(content: str) -> Iterator[Inline]:
    for number, line in enumerate(clean(content).split("\n")):
        if number:
            yield Break()
        if line:
            yield Text(line)


def _joined(inlines: Iterable[Inline]) -> Iterator[Inline]:
    """Neighbouring texts become one, so that equal documents compare equal."""
    words = ""
    for inline in inlines:
        if isinstance(inline, Text):
            words += inline.text
            continue
        if words:
            yield Text(words)
            words = ""
        yield inline
    if words:
        yield Text(words)
