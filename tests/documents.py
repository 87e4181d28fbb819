"""Documents of every shape, for property tests."""

from hypothesis import strategies as st

from chatelier.core.chat import document as tree

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


def _styled(inlines: st.SearchStrategy[tree.Inline]) -> st.SearchStrategy[tree.Inline]:
    children = st.lists(inlines, min_size=1, max_size=3).map(tuple)
    return st.one_of(children.map(tree.Bold), children.map(tree.Italic), children.map(tree.Strike))


# A link holds no other link, as in Markdown.
labels = st.lists(
    texts.map(tree.Text) | texts.map(tree.Code).map(lambda code: tree.Bold((code,))), min_size=1, max_size=2
).map(tuple)
inlines: st.SearchStrategy[tree.Inline] = st.recursive(
    st.one_of(
        texts.map(tree.Text),
        texts.map(tree.Code),
        st.just(tree.Break()),
        st.builds(tree.Link, href=hrefs, children=labels),
    ),
    _styled,
    max_leaves=3,
)
lines = st.lists(inlines, min_size=1, max_size=3).map(tuple)


def _nested(blocks: st.SearchStrategy[tree.Block]) -> st.SearchStrategy[tree.Block]:
    inside = st.lists(blocks, min_size=1, max_size=3).map(tuple)
    return inside.map(tree.Quote) | st.builds(
        tree.Listing, items=st.lists(inside, min_size=1, max_size=3).map(tuple), start=st.none() | st.integers(0, 99)
    )


blocks: st.SearchStrategy[tree.Block] = st.recursive(
    st.one_of(
        lines.map(tree.Paragraph),
        st.builds(tree.Heading, level=st.integers(1, 6), children=lines),
        st.builds(tree.CodeBlock, text=code_texts, language=st.sampled_from(["", "py"])),
        st.just(tree.Rule()),
    ),
    _nested,
    max_leaves=4,
)
documents = st.lists(blocks, max_size=4).map(lambda found: tree.Document(tuple(found)))
