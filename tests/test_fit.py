"""Replies become messages that the network takes, and nothing is lost on the way."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier.core.chat.capabilities import ButtonRules, Capabilities, Dialect
from chatelier.core.chat.dialects import PLAIN, HtmlDialect, TagDialect
from chatelier.core.chat.document import Code, CodeBlock, Document, Link, Listing, Paragraph, Quote, Text
from chatelier.core.chat.fit import fit, key_of, numbered
from chatelier.core.chat.graphemes import boundary
from chatelier.core.chat.markup import document, escape
from chatelier.core.chat.messages import Button, ChatRef, Invoice, Media, Outgoing, Reply
from chatelier.core.chat.split import SEAM, flat, split
from chatelier.core.media import Blob, MediaKind
from documents import documents

KEY = "aZ09_-aZ09_-aZ09_-aZ09"
GROUP = ChatRef(platform="web", chat="7")
MEBIBYTE = 1 << 20


class Utf16Dialect(TagDialect):
    name = "utf16"
    unit = "utf16"


class BytesDialect(TagDialect):
    name = "bytes"
    unit = "bytes"


DIALECTS: list[Dialect] = [PLAIN, HtmlDialect(), Utf16Dialect(), BytesDialect()]


def network(**changes: Any) -> Capabilities:
    known = Capabilities(
        dialect=PLAIN,
        text=200,
        caption=40,
        album=3,
        private=True,
        buttons=ButtonRules(per_row=3, total=9, label=12, payload=64),
        inline_types=frozenset({"image/png", "video/mp4", "image/gif"}),
        upload={"image": 10 * MEBIBYTE, "": 50 * MEBIBYTE},
    )
    return replace(known, **changes)


def file(name: str, mime: str = "image/png", kind: MediaKind = "image", size: int = 1000, **changes: Any) -> Media:
    return Media(blob=Blob(sha256=name, size=size, mime=mime, kind=kind), name=name, **changes)


def fitted(reply: Reply, capabilities: Capabilities, chat: ChatRef = GROUP) -> tuple[Outgoing, ...]:
    return fit(reply, KEY, chat, capabilities, native={"n": "1"}, reply_to="m1", private_to="web:7")


def said(message: Outgoing) -> str:
    return PLAIN.render(message.text) if message.text else ""


def names(message: Outgoing) -> list[str]:
    return [media.name for media in message.media]


def without_space(text: str) -> str:
    return re.sub(rf"[\s{SEAM}]", "", text)


def buttons(*labels: str) -> tuple[tuple[Button, ...], ...]:
    return tuple((Button(label=label, payload=f"p.{label}"),) for label in labels)


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(60, 300), st.sampled_from(DIALECTS))
def test_every_part_fits_and_no_word_is_lost(whole: Document, limit: int, dialect: Dialect) -> None:
    parts = split(whole, limit, dialect)
    assert all(dialect.length(part) <= limit for part in parts)
    assert all(flat(part).strip() for part in parts)
    assert without_space("".join(map(flat, parts))) == without_space(flat(whole))


@given(st.text(st.sampled_from("ab .\n🦊é世。"), max_size=600), st.integers(5, 80), st.sampled_from(DIALECTS))
def test_words_said_in_full_over_several_messages(text: str, limit: int, dialect: Dialect) -> None:
    parts = fitted(Reply(text=escape(text)), network(text=limit, dialect=dialect))
    assert without_space("".join(map(said, parts))) == without_space(text)
    assert all(message.text and dialect.length(message.text) <= limit for message in parts)
    assert len({message.key for message in parts}) == len(parts)


@given(
    st.lists(st.sampled_from(["👩‍👩‍👧", "🇫🇷", "e\u0301", "👍🏽", "a", " "]), max_size=60).map("".join),
    st.integers(12, 40),
)
def test_no_part_begins_or_ends_within_a_character(text: str, limit: int) -> None:
    at = 0
    for message in fitted(Reply(text=escape(text)), network(text=limit, dialect=Utf16Dialect())):
        at = text.index(said(message), at) + len(said(message))
        assert boundary(text, at)


def test_a_character_longer_than_a_message_is_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 50
    assert "".join(map(said, fitted(Reply(text=text), network(text=20)))) == text


def test_text_is_cut_between_blocks_before_lines_before_sentences_before_words() -> None:
    def parts(text: str, limit: int) -> list[str]:
        return [said(message) for message in fitted(Reply(text=text), network(text=limit))]

    assert parts("One fox. Two.\n\nThree, four and five.", 30) == ["One fox. Two.", "Three, four and five."]
    assert parts("One fox. Two\nThree. Four and five.", 22) == ["One fox. Two", "Three. Four and five."]
    assert parts("One red fox ran. Then two more did.", 26) == ["One red fox ran.", "Then two more did."]
    assert parts("One red fox ran then two more", 13) == ["One red fox", "ran then two", "more"]
    assert parts("aaaaa\u3002bb", 5) == ["aaaaa", "\u3002bb"]
    assert parts("aaaa\u3002bb", 5) == ["aaaa\u3002", "bb"]
    assert parts("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_code_is_opened_again_in_the_next_part_with_its_indentation() -> None:
    text = "for fox in foxes:\n    fox.jump()\n    fox.sleep()"
    first, second = split(Document((CodeBlock(text, "py"),)), 35, PLAIN)
    assert first == Document((CodeBlock("for fox in foxes:\n    fox.jump()", "py"),))
    assert second == Document((CodeBlock("    fox.sleep()", "py"),))


def test_lists_quotes_and_styles_go_on_in_the_next_part() -> None:
    parts = split(document("3. first item here\n4. second item here\n\n> words **in bold that go on**"), 28, PLAIN)
    assert [PLAIN.render(part) for part in parts] == [
        "3. first item here",
        "4. second item here",
        "> words in bold that go on",
    ]
    assert isinstance(parts[1].blocks[0], Listing)
    first, second = split(document("> **one two three four five six**"), 20, PLAIN)
    assert (type(first.blocks[0]), type(second.blocks[0])) == (Quote, Quote)
    half, rest = split(document("9. one two three four five six\n10. seven"), 24, PLAIN)
    assert (PLAIN.render(half), PLAIN.render(rest)) == ("9. one two three four", "five six\n\n10. seven")


def test_a_link_longer_than_a_message_is_said_in_pieces() -> None:
    href = "https://a.example/" + "x" * 100
    parts = split(Document((Paragraph((Link(href, (Text("fox"), Code("y"))),)),)), 50, PLAIN)
    assert "".join(PLAIN.render(part) for part in parts) == f"foxy ({href})"


def test_blank_text_sends_nothing() -> None:
    for text in ("", " \n ", escape("\n" * 500)):
        assert fitted(Reply(text=text), network(text=100)) == ()
    assert [said(message) for message in fitted(Reply(text=escape("\n" * 300 + "fox")), network(text=100))] == ["fox"]


def test_a_very_long_text_is_cut() -> None:
    parts = fitted(Reply(text=escape("red fox\n\n\n" * 10_000)), network(text=2000, dialect=Utf16Dialect()))
    assert len(parts) > 20


def test_the_first_message_has_the_key_and_the_others_keys_of_their_own() -> None:
    messages = fitted(Reply(text="word " * 200), network())
    keys = [message.key for message in messages]
    assert keys[0] == KEY
    assert keys[1] == key_of(KEY, 1) != key_of("b" * 22, 1)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", key) for key in keys)
    assert messages == fitted(Reply(text="word " * 200), network())


def test_only_the_first_message_answers_and_all_are_as_private_as_the_chat_can() -> None:
    reply = Reply(text="word " * 100, quote=True, private=True)
    messages = fitted(reply, network())
    assert [message.reply_to for message in messages] == ["m1", "", ""]
    assert {message.private_to for message in messages} == {"web:7"}
    assert {message.native["n"] for message in messages} == {"1"}
    assert {message.private_to for message in fitted(reply, network(private=False))} == {""}
    assert {message.private_to for message in fitted(reply, network(), replace(GROUP, direct=True))} == {""}
    loud = fitted(Reply(text="fox"), network())[0]
    assert (loud.reply_to, loud.private_to) == ("", "")


def test_a_short_text_is_the_caption() -> None:
    (message,) = fitted(Reply(text="a *fox*", media=(file("fox.png"),)), network())
    assert (said(message), names(message)) == ("a fox", ["fox.png"])
    (bare,) = fitted(Reply(media=(file("fox.png"),)), network(captions=False))
    assert (bare.text, names(bare)) == (None, ["fox.png"])


def test_a_text_too_long_for_a_caption_follows_the_picture() -> None:
    reply = Reply(text="word " * 20, media=(file("fox.png"),), buttons=buttons("Again"))
    picture, words = fitted(reply, network())
    assert (picture.text, names(picture), picture.buttons) == (None, ["fox.png"], ())
    assert words.buttons == buttons("Again")
    assert len(fitted(reply, network(caption=0))) == 1
    assert len(fitted(replace(reply, text="fox"), network(captions=False))) == 2


def test_pictures_go_in_albums_of_one_sort() -> None:
    media = [file(f"{n}.png") for n in range(4)]
    media += [
        file("v.mp4", "video/mp4", "video"),
        file("a.gif", "image/gif", "animation"),
        file("b.gif", "image/gif", "animation"),
    ]
    media += [file("c.tif", "image/tiff"), file("d.glb", "model/gltf-binary", "file")]
    messages = fitted(Reply(text="foxes", media=tuple(media)), network())
    assert [names(message) for message in messages] == [
        ["0.png", "1.png", "2.png"],
        ["3.png", "v.mp4"],
        ["a.gif"],
        ["b.gif"],
        ["c.tif", "d.glb"],
    ]
    assert [one.document for one in messages[-1].media] == [True, True]
    assert [said(message) for message in messages] == ["foxes", "", "", "", ""]
    assert [len(message.media) for message in fitted(Reply(media=tuple(media)), network(album=1))] == [1] * 9


def test_a_file_too_large_is_left_out_with_a_sentence_and_the_others_are_sent() -> None:
    large = file("fox.mp4", "video/mp4", "video", 61 * MEBIBYTE)
    (message,) = fitted(Reply(media=(file("a.png"), large, file("b.png"))), network(caption=0))
    assert names(message) == ["a.png", "b.png"]
    assert said(message) == "fox.mp4 is 61 MB, more than the 50 MB this chat takes."
    barely = file("*fox*.txt", "text/plain", "text", 2049)
    (alone,) = fitted(Reply(media=(barely,)), network(upload={"text": 2048}))
    assert said(alone) == "*fox*.txt is 2.1 kB, more than the 2 kB this chat takes."


def test_a_picture_too_large_to_be_shown_is_sent_as_a_file_where_that_may_be_larger() -> None:
    large = file("fox.png", size=20 * MEBIBYTE)
    (message,) = fitted(Reply(media=(large,)), network())
    assert [one.document for one in message.media] == [True]
    (refused,) = fitted(Reply(media=(large,)), network(upload={"image": 10 * MEBIBYTE}, caption=0))
    assert "10 MB" in said(refused)
    (any_size,) = fitted(Reply(media=(large,)), network(upload={}))
    assert [one.document for one in any_size.media] == [False]


def test_buttons_stand_on_the_last_message() -> None:
    messages = fitted(Reply(text="word " * 100, buttons=buttons("Again", "Info")), network())
    assert [message.buttons for message in messages] == [(), (), buttons("Again", "Info")]


def test_buttons_of_an_album_that_cannot_have_any_stand_on_a_message_after_it() -> None:
    album = (file("a.png"), file("b.png"))
    reply = Reply(text="foxes", media=album, buttons=buttons("Again"))
    assert [said(message) for message in fitted(reply, network())] == ["foxes"]
    first, second = fitted(reply, network(album_buttons=False))
    assert (first.text, first.buttons) == (None, ())
    assert (said(second), second.buttons) == ("foxes", buttons("Again"))
    _, alone = fitted(replace(reply, text=""), network(album_buttons=False))
    assert said(alone)
    assert alone.buttons == buttons("Again")
    assert len(fitted(replace(reply, media=album[:1]), network(album_buttons=False))) == 1
    assert len(fitted(replace(reply, buttons=()), network(album_buttons=False))) == 1


def test_buttons_alone_have_words_to_stand_on() -> None:
    (message,) = fitted(Reply(buttons=buttons("Again")), network())
    assert said(message)
    assert message.buttons == buttons("Again")


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(1, 8), st.integers(1, 30))
def test_rows_are_never_wider_or_more_than_the_network_has(widths: list[int], per_row: int, total: int) -> None:
    rows = tuple(
        tuple(Button(label=f"{row}.{n}", payload="p") for n in range(width)) for row, width in enumerate(widths)
    )
    rules = ButtonRules(per_row=per_row, total=total)
    messages = fitted(Reply(text="x", buttons=rows), network(buttons=rules, text=0))
    shown = messages[-1].buttons
    given_labels = [button.label for row in rows for button in row]
    if len(given_labels) <= total:
        assert [button.label for row in shown for button in row] == given_labels
        assert all(0 < len(row) <= per_row for row in shown)
        assert len(shown) <= -(-total // per_row)
    else:
        assert shown == ()
        assert all(label in said(messages[0]) for label in given_labels)


def test_long_labels_are_cut_and_long_payloads_are_our_own_bug() -> None:
    (message,) = fitted(Reply(text="x", buttons=buttons("A very long label")), network())
    assert message.buttons[0][0].label == "A very long…"
    with pytest.raises(ValueError, match="Again"):
        fitted(Reply(text="x", buttons=((Button(label="Again", payload="é" * 33),),)), network())


def test_where_there_are_no_buttons_numbers_stand_for_them() -> None:
    page = Button(label="Open", url="https://a.example/x")
    reply = Reply(text="Done.", buttons=(*buttons("Again", "Info"), (page, replace(page, label="Help"))))
    plain = network(buttons=ButtonRules())
    (message,) = fitted(reply, plain)
    assert message.buttons == ()
    assert said(message) == (
        "Done.\n\nOpen (https://a.example/x)\nHelp (https://a.example/x)\n\n1. Again\n2. Info\n\nReply with a number."
    )
    assert numbered(reply, plain) == (("1", "p.Again"), ("2", "p.Info"))
    assert numbered(reply, network()) == ()
    assert numbered(reply, network(buttons=ButtonRules(per_row=3, total=2))) != ()
    (only_page,) = fitted(Reply(text="Done.", buttons=((page,),)), plain)
    assert said(only_page) == "Done.\n\nOpen (https://a.example/x)"


def test_a_bill_is_a_message_of_its_own() -> None:
    bill = Invoice(key="i1", title="100 points", amount=500, currency="EUR")
    words, last = fitted(Reply(text="Thank you", invoice=bill), network())
    assert (words.invoice, last.invoice, last.text) == (None, bill, None)
    assert last.key != words.key


@pytest.mark.parametrize(
    ("edit_media", "text_stays_text", "begins"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
def test_what_will_become_a_picture_begins_as_one_only_where_a_text_stays_a_text(
    edit_media: bool, text_stays_text: bool, begins: int
) -> None:
    can = network(edit_media=edit_media, text_stays_text=text_stays_text)
    (card,) = fitted(Reply(text="waiting", live=True), can)
    assert len(card.media) == begins
    (plain,) = fitted(Reply(text="waiting"), can)
    assert plain.media == ()
    (shown,) = fitted(Reply(text="half", media=(file("a.png"),), live=True), can)
    assert names(shown) == ["a.png"]
