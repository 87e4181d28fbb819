"""Whatever is written, Discord's readers see all of it, and no more of it is markup than was meant."""

import pytest
from hypothesis import given, settings

from chatelier import escape
from chatelier.core.chat.markup import document
from chatelier.core.chat.split import flat, split
from chatelier.platforms.discord.dialect import DiscordDialect
from peers.discord import seen
from test_telegram_markup import TEXTS, lacks, visible

DIALECT = DiscordDialect()
SHORT = 60


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(TEXTS)
def test_no_text_in_pieces_is_too_long_or_less_than_it_was(markdown: str) -> None:
    read = document(markdown)
    pieces = [DIALECT.render(piece) for piece in split(read, SHORT, DIALECT)]
    assert all(0 < len(piece) <= SHORT for piece in pieces)
    shown = "".join(map(seen, pieces))
    assert not lacks(visible(shown), visible(flat(read).replace("\u200b", "")))


@pytest.mark.parametrize(
    "typed",
    ["*a*", "_a_", "~~a~~", "`a`", "||a||", "> a", "# a", "- a", "[a](https://a.example)", "a\\*b", "<@42>", "-# a"],
)
def test_what_people_typed_is_never_markup(typed: str) -> None:
    shown = DIALECT.render(document(escape(typed)))
    assert seen(shown) == typed
    assert shown != typed


def test_markup_that_is_meant_is_written() -> None:
    shown = DIALECT.render(document("**bold** *italic* ~~gone~~ `code` [page](https://a.example/x)"))
    assert shown == "**bold** *italic* ~~gone~~ `code` [page](https://a.example/x)"
    assert DIALECT.render(document("see https://a.example/a_b_c")) == "see https://a.example/a_b_c"
