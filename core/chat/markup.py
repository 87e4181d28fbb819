"""Markdown → Document, and the few functions that put foreign words into Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.common.utils import unescapeAll
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
LITERAL = re.compile(r"(?:[^\W\d_]|\d+(?![\d.)]))(?:[^\\`*_\[\]<>&~]*[^\\`*_\[\]<>&~\s])?")
"""A line that begins with a letter or a number, and in which no character can mean anything: most of what is said needs no parser."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
SURROGATE = re.compile("[\ud800-\udfff]")

ESCAPE_OR_BRACKET = re.compile(r"\\.|\[")
BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")

SHORT = 500
"""Characters of a text whose document is remembered: much that a gateway says is the same again and again."""
LONGEST = 20_000
"""Characters of the longest text that is parsed, on the event loop: 50 ms as a rule, some tenths of a second at worst."""
MOST_BRACKETS = 400
"""Opening brackets in a text with links: each is looked at for the end of a link, and again by those before it."""
DEEPEST_BLOCKS = 40
"""The parser leaves out what is nested deeper than this."""
DEEPEST_MARKS = 20
"""Bold in italic in bold: deeper marks are left out, their words stay. Whoever reads a document goes down by recursion."""
OPTIONS = {"html": False, "maxNesting": DEEPEST_BLOCKS}
MARKDOWN = MarkdownIt("commonmark", OPTIONS).enable("strikethrough")
WITHOUT_LINKS = MarkdownIt("commonmark", OPTIONS).enable("strikethrough").disable(["link", "image", "reference"])


def document(text: str) -> Document:
    """Parse CommonMark with strikethrough.

    HTML and pictures become text, line ends within a paragraph are kept, and a link to anything but http, https or mailto is its words.
    A text that is too long or too deep to parse is shown as it is, but for its escapes; where there are too many brackets, links are.
    """
    return _remembered(text) if len(text) <= SHORT else _document(text)


def _document(text: str) -> Document:
    if text.isprintable() and LITERAL.fullmatch(text):
        return Document((Paragraph((Text(text),)),))
    text = clean(text)
    tokens = _parsed(text)
    return _literal(text) if tokens is None else Document(_blocks(iter(tokens)))


_remembered = lru_cache(maxsize=1_024)(_document)


def _parsed(text: str) -> list[Token] | None:
    if len(text) > LONGEST:
        return None
    brackets = ESCAPE_OR_BRACKET.findall(text).count("[")
    parser = MARKDOWN if brackets <= MOST_BRACKETS else WITHOUT_LINKS
    try:
        tokens = parser.parse(text)
    except Exception:  # noqa: BLE001 - the parser's code: RecursionError for one, and no text may be lost by it
        return None
    return None if any(token.level >= DEEPEST_BLOCKS - 1 for token in tokens) else tokens


def _literal(text: str) -> Document:
    paragraphs = (lines(unescapeAll(part)) for part in BLANK_LINES.split(text.strip("\n")))
    return Document(tuple(Paragraph(children) for children in paragraphs if children))


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
    return SURROGATE.sub("\ufffd", CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def lines(text: str) -> tuple[Inline, ...]:
    """Literal text with its line ends as breaks."""
    return tuple(_joined(_text(text)))


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
    return tuple(_joined(_inline_until(_shallow(_without_pictures(tokens)))))


def _without_pictures(tokens: Sequence[Token]) -> Iterator[Token]:
    """What a picture is described by in its place, or else its address."""
    for token in tokens:
        if token.type != "image":
            yield token
        elif token.children:
            yield from _without_pictures(token.children)
        else:
            yield Token("text", "", 0, content=str(token.attrs["src"]))


def _shallow(tokens: Iterable[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth -= token.nesting < 0
        if not token.nesting or depth < DEEPEST_MARKS:
            yield token
        depth += token.nesting > 0


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
