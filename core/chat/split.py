"""Cut a document into parts that a network takes, at the places where a reader would pause."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from ..values import replace
from .capabilities import Dialect
from .dialects import PLAIN
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
from .graphemes import boundary
from .markup import lines

# Stand-ins in the flat text of a document, one character each: between two blocks, and for a line across.
SEAM = "\x1e"
ACROSS = "\ufffc"

PAUSES = (
    re.compile(SEAM),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?…])\s|(?<=[\u3002\uff01\uff1f])"),
    re.compile(r"\s"),
)
"""Where to cut, the best first."""
SPACE = re.compile(rf"[\s{SEAM}]*[\n{SEAM}]|\s*")
"""White space at a cut; what indents the next line stays."""

Piece = TypeVar("Piece")


def flat(document: Document) -> str:
    """The words alone, a character each; the positions of `cut` count in it."""
    return "".join(_leaves_of_blocks(document.blocks))


def split(document: Document, limit: int, dialect: Dialect) -> list[Document]:
    """Parts of at most `limit` in the dialect's unit (0: unlimited). Only white space at the cuts is lost; blank parts are left out."""
    parts = []
    text = flat(document)
    while text.strip():
        # Every character takes at least one unit, so most texts need not be rendered to be found too long.
        if not limit or (len(text) <= limit and dialect.length(document) <= limit):
            parts.append(document)
            break
        window = cut(document, limit)[0]
        longest = _longest(window, min(limit, len(text)), limit, dialect)
        plainer = document if longest else _plainer(document)
        if plainer != document:
            document, text = plainer, flat(plainer)
            continue
        head, rest = _ends(window, text, max(longest, 1), limit, dialect)
        if head:
            parts.append(cut(window, head)[0])
        document, text = cut(document, rest)[1], text[rest:]
    return parts


def cut(document: Document, at: int) -> tuple[Document, Document]:
    """The first `at` characters of the flat text, and the rest; quotes, lists, styles and code go on in the rest."""
    head, tail = _cut_blocks(document.blocks, at)
    return Document(head), Document(tail)


def _longest(window: Document, most: int, limit: int, dialect: Dialect) -> int:
    """How many characters of the flat text fit, up to `most`; may be 0."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if dialect.length(cut(window, middle)[0]) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def _ends(window: Document, text: str, longest: int, limit: int, dialect: Dialect) -> tuple[int, int]:
    """Where the first part ends, and where the rest begins after the white space between them."""
    end = _pause(text, longest)
    if dialect.length(cut(window, end)[0]) > limit:
        end = longest  # a shorter text that is longer: half of a link that was its own words
    space = SPACE.match(text, end)
    return len(text[:end].rstrip()), space.end() if space else end


def _pause(text: str, longest: int) -> int:
    """The best place to cut in the last two thirds of what fits."""
    for pause in PAUSES:
        places = [at for found in pause.finditer(text, 0, longest + 1) if (at := found.start()) <= longest]
        if places and places[-1] >= max(longest // 3, 1):
            return places[-1]
    at = longest
    while at > 1 and not boundary(text, at):
        at -= 1
    return at if boundary(text, at) else longest


def _plainer(document: Document) -> Document:
    """The first block without its markup, for when that alone is longer than a message: a link of 3,000 characters."""
    first, *rest = document.blocks
    return Document((Paragraph(lines(PLAIN.block(first))), *rest))


def _leaves_of(groups: Iterable[Iterator[str]]) -> Iterator[str]:
    for number, leaves in enumerate(groups):
        if number:
            yield SEAM
        yield from leaves


def _leaves_of_blocks(blocks: Sequence[Block]) -> Iterator[str]:
    return _leaves_of(map(_leaves_of_block, blocks))


def _leaves_of_block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(children) | Heading(_, children):
            for inline in children:
                yield from _leaves_of_inline(inline)
        case CodeBlock(text):
            yield text
        case Quote(blocks):
            yield from _leaves_of_blocks(blocks)
        case Listing(items):
            yield from _leaves_of(map(_leaves_of_blocks, items))
        case Rule():
            yield ACROSS


def _leaves_of_inline(inline: Inline) -> Iterator[str]:
    match inline:
        case Text(text) | Code(text):
            yield text
        case Break():
            yield "\n"
        case Bold(children) | Italic(children) | Strike(children) | Link(_, children):
            for child in children:
                yield from _leaves_of_inline(child)


def _place(pieces: Sequence[Piece], at: int, leaves: Callable[[Piece], Iterator[str]], seam: int) -> tuple[int, int]:
    """Which piece a cut falls into, and where in it: 0 or less is before it."""
    for number, piece in enumerate(pieces):
        left = at
        for leaf in leaves(piece):
            left -= len(leaf)
            if left < 0:
                break
        if left < 0 or at < 0:
            return number, at
        at = left - seam
    return len(pieces), 0


def _cut_blocks(blocks: tuple[Block, ...], at: int) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    number, within = _place(blocks, at, _leaves_of_block, 1)
    if within <= 0:
        return blocks[:number], blocks[number:]
    head, tail = _cut_block(blocks[number], within)
    return (*blocks[:number], *head), (*tail, *blocks[number + 1 :])


def _cut_block(block: Block, at: int) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    match block:
        case Paragraph(children) | Heading(_, children):
            head, tail = _cut_inlines(children, at)
            return (replace(block, children=head),), (replace(block, children=tail),)
        case CodeBlock(text):
            return (replace(block, text=text[:at]),), (replace(block, text=text[at:]),)
        case Quote(blocks):
            first, rest = _cut_blocks(blocks, at)
            return (Quote(first),), (Quote(rest),)
        case Listing():
            return _cut_listing(block, at)
    return (block,), ()


def _cut_listing(listing: Listing, at: int) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """What is left of an item goes on as blocks of their own, and the list after them with its next number."""
    items, start = listing.items, listing.start
    number, within = _place(items, at, _leaves_of_blocks, 1)
    head, tail = _cut_blocks(items[number], within) if within > 0 else ((), ())
    after = number + (within > 0)
    before = (*items[:number], head) if within > 0 else items[:number]
    rest = Listing(items[after:], None if start is None else start + after)
    return (Listing(before, start),), (*tail, rest) if rest.items else tail


def _cut_inlines(children: tuple[Inline, ...], at: int) -> tuple[tuple[Inline, ...], tuple[Inline, ...]]:
    number, within = _place(children, at, _leaves_of_inline, 0)
    if within <= 0:
        return children[:number], children[number:]
    head, tail = _cut_inline(children[number], within)
    return (*children[:number], head), (tail, *children[number + 1 :])


def _cut_inline(inline: Inline, at: int) -> tuple[Inline, Inline]:
    match inline:
        case Text(text) | Code(text):
            return replace(inline, text=text[:at]), replace(inline, text=text[at:])
        case Bold(children) | Italic(children) | Strike(children) | Link(_, children):
            head, tail = _cut_inlines(children, at)
            return replace(inline, children=head), replace(inline, children=tail)
    return inline, inline
