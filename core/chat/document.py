"""Formatted text as a small tree: written as Markdown, rendered by the dialect of each network."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Bold:
    children: tuple["Inline", ...]


@dataclass(frozen=True, slots=True)
class Italic:
    children: tuple["Inline", ...]


@dataclass(frozen=True, slots=True)
class Strike:
    children: tuple["Inline", ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Fixed-width text within a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """href: http, https or mailto only."""

    href: str
    children: tuple["Inline", ...]


@dataclass(frozen=True, slots=True)
class Break:
    """A new line within a paragraph."""


Inline = Text | Bold | Italic | Strike | Code | Link | Break


@dataclass(frozen=True, slots=True)
class Paragraph:
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """level: 1 to 6."""

    level: int
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    blocks: tuple["Block", ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list. start: the first number of an ordered one, None for bullets."""

    items: tuple[tuple["Block", ...], ...]
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


Block = Paragraph | Heading | CodeBlock | Quote | Listing | Rule


@dataclass(frozen=True, slots=True)
class Document:
    """What a message says. Two documents that are equal look equal."""

    blocks: tuple[Block, ...] = ()
