"""What documents look like where they are shown, and how long they are there."""

from html.parser import HTMLParser

import pytest
from hypothesis import given

from chatelier.core.chat.capabilities import Dialect
from chatelier.core.chat.dialects import PLAIN, HtmlDialect, TagDialect, measure
from chatelier.core.chat.document import Document, Link, Paragraph, Text
from chatelier.core.chat.markup import document
from chatelier.core.chat.split import ACROSS, SEAM, flat
from documents import documents

ALLOWED = {
    "p",
    "strong",
    "em",
    "del",
    "code",
    "pre",
    "blockquote",
    "ul",
    "ol",
    "li",
    "a",
    "h3",
    "h4",
    "h5",
    "h6",
    "br",
    "hr",
}
VOID = {"br", "hr"}
SAMPLE = """# Fox

A **red** *fox* `x<y` [here](https://a.example/?a=1&b=2)
and ~~snow~~

> q

2. two
3. three

---

```
a < b
```"""


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "br":
            self.words += "\n"
        if tag == "hr":
            self.words += ACROSS
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


class Utf16Dialect(TagDialect):
    """Counts as Telegram does."""

    name = "utf16"
    unit = "utf16"


@given(documents)
def test_html_has_only_harmless_tags_and_exactly_the_words(shown: Document) -> None:
    page = Page(HtmlDialect().render(shown))
    assert page.tags <= ALLOWED
    assert page.open == []
    assert page.words == flat(shown).replace(SEAM, "")
    for tag, name, value in page.attributes:
        assert (tag, name) in {("a", "href"), ("a", "rel"), ("a", "target"), ("ol", "start")}
        if name == "href":
            assert value
            assert value.startswith(("https://", "http://", "mailto:"))


@given(documents)
def test_lengths_are_counted_in_the_unit_of_the_dialect(shown: Document) -> None:
    assert PLAIN.length(shown) == len(PLAIN.render(shown))
    assert HtmlDialect().length(shown) == len(Page(HtmlDialect().render(shown)).words.replace(ACROSS, ""))
    seen = Page(Utf16Dialect().render(shown)).words
    assert Utf16Dialect().length(shown) == len(seen.encode("utf-16-le")) // 2


def test_a_script_smuggled_into_a_document_stays_words() -> None:
    for href in ("javascript:alert(1)", 'https://a.example/" onclick="x'):
        page = Page(HtmlDialect().render(Document((Paragraph((Link(href, (Text("fox"),)),)),))))
        assert page.words == "fox"
        assert {name for _, name, _ in page.attributes} <= {"href", "rel", "target"}
        assert not any((value or "").startswith("javascript") for _, _, value in page.attributes)


def test_plain_text_reads_well() -> None:
    assert PLAIN.render(document(SAMPLE)) == (
        "Fox\n\nA red fox x<y here (https://a.example/?a=1&b=2)\nand snow\n\n> q\n\n2. two\n3. three\n\n---\n\na < b"
    )


def test_plain_lists_and_quotes_are_indented() -> None:
    assert PLAIN.render(document("> a\n>\n> - b\n>   c\n>   - d")) == "> a\n> \n> - b\n>   c\n>   - d"


def test_plain_text_says_an_address_once() -> None:
    assert PLAIN.render(document("<https://a.example> <a@b.example>")) == "https://a.example a@b.example"


def test_html_of_every_kind() -> None:
    assert HtmlDialect().render(document(SAMPLE)) == (
        "<h3>Fox</h3><p>A <strong>red</strong> <em>fox</em> <code>x&lt;y</code> "
        '<a href="https://a.example/?a=1&amp;b=2" rel="noopener noreferrer" target="_blank">here</a><br>and <del>snow</del></p>'
        '<blockquote><p>q</p></blockquote><ol start="2"><li><p>two</p></li><li><p>three</p></li></ol><hr>'
        "<pre><code>a &lt; b</code></pre>"
    )
    assert HtmlDialect().render(document("- a\n\n1. b")) == "<ul><li><p>a</p></li></ul><ol><li><p>b</p></li></ol>"


def test_tags_that_a_chat_network_does_not_count() -> None:
    assert Utf16Dialect().render(document("**a** *b* ~~c~~ `<` [d](https://e.example)")) == (
        '<b>a</b> <i>b</i> <s>c</s> <code>&lt;</code> <a href="https://e.example">d</a>'
    )
    assert Utf16Dialect().length(document("**🦊** &amp; [d](https://e.example)")) == 6


def test_units() -> None:
    assert (measure("é🦊", "characters"), measure("é🦊", "utf16"), measure("é🦊", "bytes")) == (2, 3, 6)


@pytest.mark.parametrize("dialect", [PLAIN, HtmlDialect(), Utf16Dialect()])
def test_dialects_are_what_capabilities_hold(dialect: Dialect) -> None:
    assert dialect.render(Document()) == ""
    assert dialect.length(Document()) == 0
    assert dialect.name
