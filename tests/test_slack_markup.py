"""Whatever is written, Slack takes it, shows all of it, and reads none of it as markup of its own."""

from typing import Any

import pytest
from hypothesis import given, settings

from chatelier.core.chat.markup import document
from chatelier.core.chat.split import flat, split
from chatelier.platforms.slack.dialect import SlackDialect, escaped, rich_text
from chatelier.platforms.slack.inbound import typed
from documents import documents
from peers.slack import SlackPeer, text_of
from test_telegram_markup import RULE, TEXTS, lacks, visible

DIALECT = SlackDialect()
SHORT = 60
"""Characters of a message, so that most texts come in several."""


def shown(blocks: list[dict[str, Any]]) -> str:
    """As Slack shows it, once it took it. Raises Refusal."""
    SlackPeer()._checked({"text": "x", "blocks": blocks})
    return text_of({"blocks": blocks, "text": ""})


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(TEXTS)
def test_no_text_in_pieces_is_refused_or_less_than_it_was(markdown: str) -> None:
    read = document(markdown)
    pieces = split(read, SHORT, DIALECT)
    said = "".join(shown(rich_text(piece)) for piece in pieces)
    assert not lacks(visible(said), visible(flat(read).replace(RULE, "")))


@settings(max_examples=500, deadline=None)
@given(documents)
def test_every_document_is_taken_and_its_words_are_in_elements_of_text(read: Any) -> None:
    blocks = rich_text(read)
    said = shown(blocks) if blocks else ""
    assert not lacks(visible(said), visible(flat(read)))


@given(TEXTS)
def test_nothing_that_is_typed_mentions_or_links(text: str) -> None:
    assert "<" not in escaped(text)
    assert ">" not in escaped(text)
    words = " ".join(text.split())
    assert typed(escaped(words)) == words.strip()


def test_markup_of_slacks_own_stays_words() -> None:
    words = "*b* _i_ ~s~ `c` <!channel> <@U1> <https://a.example|b> &amp;"
    (block,) = rich_text(
        document(words.replace("*", r"\*").replace("_", r"\_").replace("`", r"\`").replace("<", r"\<"))
    )
    assert {each["type"] for each in block["elements"][0]["elements"]} <= {"text", "link"}
    assert "<!channel>" in text_of({"blocks": [block]})


def test_a_list_goes_on_where_it_began() -> None:
    (block,) = rich_text(document("2. two\n3. three\n\n> q\n\n```\na < b\n```\n\n# **Fox**"))
    kinds = [each["type"] for each in block["elements"]]
    assert kinds == ["rich_text_list", "rich_text_quote", "rich_text_preformatted", "rich_text_section"]
    assert text_of({"blocks": [block]}) == "2. two\n3. three\nq\na < b\nFox"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("see <https://a.example/?a=1&amp;b=2|a.example>", "see https://a.example/?a=1&b=2"),
        ("<@U1|ada> in <#C1|general>, <!here>", "@ada in #general, @here"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<!subteam^S1|@painters>", "@painters"),
    ],
)
def test_what_slack_makes_of_words_is_undone(told: str, words: str) -> None:
    assert typed(told) == words
