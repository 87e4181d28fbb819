"""Documents of every shape, for property tests."""

from hypothesis import strategies as st

from chatelier.core.chat.document import (
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

NASTY = [
    *"<>&*_`\"'~[]()#",
    "<b>",
    "&amp;",
    "</p>",
    "fox ",
    "snow. ",
    " ",
    "\u00e9",
    "e\u0301",
    "🦊",
    "👩‍👩‍👧",
    "🇫🇷",
    "の",
]

texts = st.lists(st.sampled_from(NASTY), min_size=1, max_size=12).map("".join)
code_texts = st.lists(texts, min_size=1, max_size=3).map("\n".join)
hrefs = st.sampled_from(["https://a.example/?q=1&r=2", "http://b.example", "mailto:a@b.example"])


def _styled(inlines: st.SearchStrategy[Inline]) -> st.SearchStrategy[Inline]:
    children = st.lists(inlines, min_size=1, max_size=3).map(tuple)
    return st.one_of(children.map(Bold), children.map(Italic), children.map(Strike))


# A link holds no other link, as in Markdown.
labels = st.lists(texts.map(Text) | texts.map(Code).map(lambda code: Bold((code,))), min_size=1, max_size=2).map(tuple)
inlines: st.SearchStrategy[Inline] = st.recursive(
    st.one_of(texts.map(Text), texts.map(Code), st.just(Break()), st.builds(Link, href=hrefs, children=labels)),
    _styled,
    max_leaves=3,
)
lines = st.lists(inlines, min_size=1, max_size=3).map(tuple)


def _nested(blocks: st.SearchStrategy[Block]) -> st.SearchStrategy[Block]:
    inside = st.lists(blocks, min_size=1, max_size=3).map(tuple)
    return inside.map(Quote) | st.builds(
        Listing, items=st.lists(inside, min_size=1, max_size=3).map(tuple), start=st.none() | st.integers(0, 99)
    )


blocks: st.SearchStrategy[Block] = st.recursive(
    st.one_of(
        lines.map(Paragraph),
        st.builds(Heading, level=st.integers(1, 6), children=lines),
        st.builds(CodeBlock, text=code_texts, language=st.sampled_from(["", "py"])),
        st.just(Rule()),
    ),
    _nested,
    max_leaves=4,
)
documents = st.lists(blocks, max_size=4).map(lambda found: Document(tuple(found)))
