"""Markdown in, documents out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import Dialect, HtmlDialect
from chatelier.core.chat.dialects import PLAIN
from chatelier.core.chat.document import (
    Bold,
    Break,
    Code,
    CodeBlock,
    Document,
    Heading,
    Italic,
    Link,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Strike,
    Text,
)
from chatelier.core.chat.graphemes import boundary, shorten
from chatelier.core.chat.markup import (
    DEEPEST_BLOCKS,
    DEEPEST_MARKS,
    LONGEST,
    MOST_BRACKETS,
    clean,
    code,
    document,
    escape,
    fence,
)

anything = st.text(st.characters()) | st.text("*_`~#>-+.)([]<>&!\\|:/@1 \n\t\r\x00x", max_size=60)


def paragraph(*children: object) -> Document:
    return Document((Paragraph(children),))  # type: ignore[arg-type] # shorter to write in a test


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("a **b***c*", [Text("a "), Bold((Text("b"),)), Italic((Text("c"),))]),
        ("~~d~~ `e`", [Strike((Text("d"),)), Text(" "), Code("e")]),
        ("one\ntwo  \nthree\\\nfour", [Text("one"), Break(), Text("two"), Break(), Text("three"), Break(), Text("four")]),
        ("[fox](https://a.example/?q=1)", [Link("https://a.example/?q=1", (Text("fox"),))]),
        ("[*fox*](mailto:a@b.example)", [Link("mailto:a@b.example", (Italic((Text("fox"),)),))]),
        ("[](https://a.example)", [Link("https://a.example", (Text("https://a.example"),))]),
        ("<https://a.example>", [Link("https://a.example", (Text("https://a.example"),))]),
        ("see [*fox*](ftp://a) now", [Text("see "), Italic((Text("fox"),)), Text(" now")]),
        ("[fox](/etc/passwd)", [Text("fox")]),
        ("![a *red* fox](https://a.example/f.png)", [Text("a "), Italic((Text("red"),)), Text(" fox")]),
        ("![](https://a.example/f.png)", [Text("https://a.example/f.png")]),
        ("<b>x</b> &amp; <!-- y -->", [Text("<b>x</b> & <!-- y -->")]),
        ("a&#10;b&#13;c", [Text("a"), Break(), Text("b"), Break(), Text("c")]),
    ],
)  # fmt: skip
def test_the_words_of_a_line(markdown: str, expected: list[object]) -> None:
    assert document(markdown) == paragraph(*expected)


def test_a_link_to_a_script_is_never_a_link() -> None:
    for markdown in (
        "[x](javascript:alert(1))",
        "[x](data:text/html,y)",
        "[x](JaVaScRiPt:alert%281%29)",
        "[x](//a.example)",
    ):
        assert "Link" not in repr(document(markdown))


def test_every_kind_of_block() -> None:
    markdown = """# Title #

words

> quoted
> - in a list

3. three
4. four

   more

---
```py x
if a:

  b
```

    indented
"""
    assert document(markdown) == Document(
        (
            Heading(1, (Text("Title"),)),
            Paragraph((Text("words"),)),
            Quote((Paragraph((Text("quoted"),)), Listing(((Paragraph((Text("in a list"),)),),)))),
            Listing(
                (
                    (Paragraph((Text("three"),)),),
                    (Paragraph((Text("four"),)), Paragraph((Text("more"),))),
                ),
                3,
            ),
            Rule(),
            CodeBlock("if a:\n\n  b", "py"),
            CodeBlock("indented"),
        )
    )


def test_odd_code_languages_and_empty_things_leave_nothing_odd_behind() -> None:
    assert document('```"><script>\nx\n```') == Document((CodeBlock("x"),))
    assert document("#\n\n  \n") == Document()
    assert document("-") == Document((Listing(((),)),))


def test_html_on_lines_of_its_own_is_text() -> None:
    assert (
        PLAIN.render(document("<div>\n<script>alert(1)</script>\n</div>")) == "<div>\n<script>alert(1)</script>\n</div>"
    )


@given(st.text("ab1.)(-+#=:;,!?'\"/|@ \u00e9\u4e2d_*`~[]<>&\\", max_size=30))
def test_a_line_end_behind_it_changes_nothing(line: str) -> None:
    """A text with a line end always goes through the parser; most lines alone need none."""
    assert document(f"{line}\n") == document(line)


@given(anything)
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    assert PLAIN.render(document(f"a {escape(text)} b")) == f"a {clean(text)} b"


@given(anything, st.sampled_from(["- {}", "> {}", "# {}", "1. {}", "**{}**", "[{}](https://a.example)"]))
def test_escaped_text_makes_no_markup_anywhere(text: str, around: str) -> None:
    """The document is the one that a harmless word makes, with the text in its place."""
    line = clean(text).replace("\n", " ")
    expected = repr(document(around.format("word"))).replace(repr("word"), repr(f"w{line}d"))
    assert repr(document(around.format(f"w{escape(line)}d"))) == expected


@given(anything)
def test_escaped_text_alone_keeps_its_edges(text: str) -> None:
    assert PLAIN.render(document(escape(text))) == clean(text)


@given(anything)
def test_code_shows_its_text(text: str) -> None:
    line = clean(text).replace("\n", " ")
    expected = paragraph(Text("a "), Code(line), Text(" b")) if line.strip() else paragraph(Text("a  b"))
    assert document(f"a {code(text)} b") == expected


@given(anything)
def test_a_fence_shows_its_text(text: str) -> None:
    assert document(f"a\n\n{fence(text, 'json')}\n\nb").blocks[1] == CodeBlock(clean(text), "json")


@given(anything)
def test_any_text_parses(text: str) -> None:
    assert "\x00" not in repr(document(text))


MARKS = st.sampled_from(
    ["*", "_", "**", "~~", "[", "](b)", "![", "> ", "- ", "1. ", "`", "<", "&", "# ", "a", " ", "\n", "  "]
)


@given(st.lists(st.tuples(MARKS, st.integers(1, 300)), max_size=8), st.sampled_from([PLAIN, HtmlDialect()]))
def test_a_text_of_nothing_but_marks_is_shown_by_every_dialect(runs: list[tuple[str, int]], dialect: Dialect) -> None:
    parsed = document("".join(mark * times for mark, times in runs))
    assert depth(parsed) < 4 * (DEEPEST_BLOCKS + DEEPEST_MARKS)
    dialect.render(parsed)


def depth(part: object) -> int:
    """Of the tree, counted without going down by recursion."""
    parts, levels = [part], 0
    while parts:
        levels += 1
        parts = [inner for outer in parts for inner in inside(outer)]
    return levels


def inside(part: object) -> list[object]:
    match part:
        case tuple():
            return list(part)
        case Document(blocks) | Quote(blocks):
            return list(blocks)
        case Listing(items):
            return list(items)
        case Paragraph(children) | Heading(_, children) | Bold(children) | Italic(children) | Strike(children):
            return list(children)
    return []


def test_too_deep_marks_leave_their_words_behind() -> None:
    for times in (DEEPEST_MARKS // 2, 2000):
        parsed = document(f"x {'*' * times}fox{'*' * times} y")
        assert PLAIN.render(parsed) == "x fox y"
        assert 3 < depth(parsed) <= DEEPEST_MARKS + 4
    assert PLAIN.render(document("**a *b " * 100 + "fox" + "* c**" * 100)).count("b") == 100


@pytest.mark.parametrize("mark", [">", "> - ", "- ", "1. "])
def test_blocks_that_are_too_deep_are_shown_as_they_were_written(mark: str) -> None:
    assert depth(document(mark * 5 + "fox")) > 5
    assert document(mark * 100 + "fox") == paragraph(Text(mark * 100 + "fox"))


@pytest.mark.parametrize(
    "text",
    [
        "![a" * 20_000,
        "[" * 20_000,
        "\\\\[" * 1_000,
        "![" * 300 + "a" + "](b)" * 300,
        "word **bold** " * 2_000,
        "*" * 2_000 + "a" + "*" * 2_000,
    ],
    ids=["pictures", "brackets", "brackets after backslashes", "pictures in pictures", "long", "stars"],
)
def test_a_text_that_would_keep_the_gateway_busy_is_not_lost(text: str) -> None:
    started = time.process_time()
    words = PLAIN.render(document(text))
    assert time.process_time() - started < 2  # a tenth of it; the first of these takes nine seconds to parse
    assert words.count("a") == text.count("a")


@given(anything, anything)
def test_escapes_are_understood_in_a_text_that_is_too_long_to_parse(text: str, more: str) -> None:
    long = "x" * LONGEST
    written = f"w{escape(text)}\n\n{long}{escape(more)}"
    assert PLAIN.render(document(written)).strip() == f"w{clean(text)}\n\n{long}{clean(more)}".strip()


def test_only_links_are_left_as_they_are_in_a_text_of_brackets() -> None:
    for brackets, link in (("[" * (MOST_BRACKETS - 2), Link("https://a", (Text("x"),))), ("[" * MOST_BRACKETS, None)):
        (first, second, third) = document(f"[x](https://a) **fox**\n\n- {brackets}\n\n```\n[x]\n```").blocks
        assert isinstance(first, Paragraph)
        assert first.children[-1] == Bold((Text("fox"),))
        assert first.children[0] == (link or Text("[x](https://a) "))
        assert (type(second), third) == (Listing, CodeBlock("[x]"))


def test_escaped_brackets_are_no_reason_to_show_marks_as_they_are() -> None:
    assert PLAIN.render(document(f"**bold** {escape('[fox:0.5] ' * 1_000)}")).startswith("bold [fox:0.5]")


def test_a_short_text_is_left_alone_and_a_long_one_ends_in_an_ellipsis() -> None:
    assert shorten("fox", 3) == "fox"
    assert shorten("foxes", 3) == "fo…"
    assert shorten("a fox", 3) == "a…"
    assert shorten("foxes", 0) == ""


@pytest.mark.parametrize(
    "cluster",
    ["👩‍👩‍👧", "👍🏽", "🇫🇷", "e\u0301", "3\ufe0f\u20e3", "🏴\U000e0067\U000e007f", "\u1112\u1161\u11ab", "\r\n"],
)
def test_what_reads_as_one_character_is_not_cut(cluster: str) -> None:
    text = cluster * 3
    cuts = [at for at in range(len(text) + 1) if boundary(text, at)]
    assert cuts == [len(cluster) * n for n in range(4)]
    assert shorten(cluster + "xy", len(cluster) + 1) == f"{cluster.rstrip()}…"
    assert shorten(cluster, len(cluster) - 1) == "…"
