"""Whatever is written, Telegram's own parser takes it and shows all of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier.core.chat.markup import document
from chatelier.core.chat.split import flat, split
from chatelier.platforms.telegram.dialect import TelegramDialect
from peers.telegram import parsed, utf16

DIALECT = TelegramDialect()
SHORT = 60
"""UTF-16 units of a message, so that most texts come in several."""
SIGNS = "*_~`[]()<>&\"'#-+=|!\\.:/\n\t "
MARKUP = st.sampled_from(
    [
        *SIGNS,
        "**",
        "```",
        "~~",
        "||",
        "](https://a.example/?b=1&c=2)",
        "![",
        "&amp;",
        "<b>",
        "</pre>",
        "> ",
        "1. ",
        "- ",
    ]
)
PICTURES = st.sampled_from(["😀", "👩‍👩‍👧", "🏳️‍🌈", "e\u0301", "中", "ع", "क्ष"])
LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])
TEXTS = st.lists(st.one_of(MARKUP, MARKUP, LETTERS, PICTURES, st.just("word")), max_size=60).map("".join)


RULE = "\ufffc"
"""Stands for a line across in the bare words."""


def visible(text: str) -> str:
    return "".join(text.replace(RULE, "").split())


def lacks(shown: str, words: str) -> str:
    """The first of the words' characters that is not shown in its order; numbers and signs of lists may come between."""
    rest = iter(shown)
    return next((each for each in words if each not in rest), "")


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(TEXTS)
def test_no_text_in_pieces_is_refused_too_long_or_less_than_it_was(markdown: str) -> None:
    read = document(markdown)
    pieces = split(read, SHORT, DIALECT)
    shown = [parsed(DIALECT.render(piece), "HTML")[0] for piece in pieces]
    assert [utf16(text) for text in shown] == [DIALECT.length(piece) for piece in pieces]
    assert all(0 < utf16(text) <= SHORT for text in shown)
    assert not lacks(visible("".join(shown)), visible(flat(read)))


def test_what_is_missing_or_out_of_order_is_found() -> None:
    assert lacks("1. one 2. two", "onetwo") == ""
    assert lacks("1. one", "onetwo") == "t"
    assert lacks("ba", "ab") == "b"
