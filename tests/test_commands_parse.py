"""What people type becomes values, or sentences that say what to do."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import BadInput, Choice, FileRef, Option, Value
from chatelier.core.commands.forms import missing
from chatelier.core.commands.options import check
from chatelier.core.commands.parse import command_of, parse, typed, with_files, with_link
from chatelier.core.commands.spell import line_of
from commands import CFG, CLIP, EFFECT, IMAGE, MAKE, MASK, NEGATIVE, PROMPT, SEED, SHOW, STYLE, TILED, WIDTH, command

lines = st.text() | st.lists(
    st.sampled_from([*'"“”„«=:', "\n", "--", "--width", "512", "seed:7", "—tiled", "--no-tiled", "a", "  ", "--ar", "style="])
).map(" ".join)  # fmt: skip
harmless = st.text(st.sampled_from("abc \n,.!ä🦊/:=1"), max_size=40)


def picture(name: str, mime: str = "image/png") -> FileRef:
    return FileRef(platform="web", ref=name, name=name, mime=mime)


def refusal(text: str, **changes: Any) -> str:
    """The one sentence."""
    (error,) = parse(text, command(**changes) if changes else MAKE).errors
    return error


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('a fox --width 512 seed:7 "quoted"', {"prompt": 'a fox "quoted"', "width": 512, "seed": 7}),
        ("--width=512 --STYLE PHOTO a fox", {"prompt": "a fox", "width": 512, "style": "photo"}),
        ("a fox width=64 style:dark_ink", {"prompt": "a fox", "width": 64, "style": "dark_ink"}),
        ('--style "Dark ink" a fox', {"prompt": "a fox", "style": "dark_ink"}),
        ("style:“dark ink” negative_prompt=«no snow» a fox", {"prompt": "a fox", "style": "dark_ink", "negative_prompt": "no snow"}),
        ("--negative-prompt „no snow“ a fox", {"prompt": "a fox", "negative_prompt": "no snow"}),
        ("a fox --tiled in snow", {"prompt": "a fox in snow", "tiled": True}),
        ("a fox --no-tiled --seed -1", {"prompt": "a fox", "tiled": False, "seed": -1}),
        ("a fox --tiled=off", {"prompt": "a fox", "tiled": False}),
        ("a fox —width 512 –tiled", {"prompt": "a fox", "width": 512, "tiled": True}),  # noqa: RUF001 - as telephones write it
        ("see http://x at 16:9 — a fox—like a--b ratio:3 -w 5 a=b", {"prompt": "see http://x at 16:9 — a fox—like a--b ratio:3 -w 5 a=b"}),
        ('a sign that says "write --width 5" or seed:', {"prompt": 'a sign that says "write --width 5" or seed:'}),
        ("a fox --width 64 -- with --style and -- dashes", {"prompt": "a fox with --style and -- dashes", "width": 64}),
        ("--prompt a fox --width 64", {"prompt": "a fox", "width": 64}),
        ('--prompt "a fox" in snow', {"prompt": "a fox in snow"}),
        ("prompt:fox", {"prompt": "fox"}),
        ("a fox\n  --width 64\nin  snow", {"prompt": "a fox\n  in  snow", "width": 64}),
        ("a fox --width 64\nin snow", {"prompt": "a fox\nin snow", "width": 64}),
        ("--width 64 --width 128", {"width": 128}),
        ("", {}),
        (" \n ", {}),
        ("--> a fox --- b", {"prompt": "--> a fox --- b"}),
        ('5" tall" "', {"prompt": '5" tall" "'}),
    ],
)  # fmt: skip
def test_a_line_becomes_values(text: str, values: dict[str, object]) -> None:
    parsed = parse(text, MAKE)
    assert parsed.errors == ()
    assert parsed.values == values


@given(lines)
def test_no_line_is_too_odd_to_read(text: str) -> None:
    for one in (MAKE, EFFECT, SHOW, command(options=())):
        parsed = parse(text, one)
        assert set(parsed.values) <= {option.name for option in one.options}
        assert all(error and "\n" not in error for error in parsed.errors)


@given(harmless)
def test_words_that_are_no_options_come_out_as_they_were_typed(text: str) -> None:
    assert parse(text, MAKE).values.get("prompt", "") == text.strip()


@given(harmless.filter(str.strip), st.integers(8, 256), st.booleans())
def test_options_may_stand_before_or_after_the_words(text: str, eighths: int, first: bool) -> None:
    option = f"--width {eighths * 8}"
    parsed = parse(f"{option} {text}" if first else f"{text} {option}", MAKE)
    assert parsed.values == {"prompt": text.strip(), "width": eighths * 8}


@given(st.text(min_size=1).filter(str.strip))
def test_after_two_dashes_anything_is_words(text: str) -> None:
    assert parse(f"-- {text}", MAKE).values == {"prompt": text.strip()}


def test_a_misspelt_option_is_met_with_the_right_one() -> None:
    assert refusal("a fox --widht 512") == "/make has no option --widht. Did you mean --width?"


def test_an_option_from_elsewhere_is_met_with_all_there_are() -> None:
    assert refusal("a fox --ar 16:9") == (
        "/make has no option --ar. Its options are --prompt, --width, --seed, --style, --tiled, --negative_prompt, --cfg."
    )
    assert refusal("--x", name="ping") == "/ping has no option --x. It has none."


def test_a_value_that_is_missing_is_asked_for() -> None:
    for text in ("a fox --width", "--width --tiled a fox"):
        assert refusal(text) == "--width needs a value: a whole number from 64 to 2048 in steps of 8."
    assert "no value" in refusal("--no-tiled=yes")


def test_every_error_is_told_once_and_not_too_many() -> None:
    assert len(parse("--x1 --x1 --width 5 --seed b", MAKE).errors) == 3
    assert len(parse(" ".join(f"--x{n}" for n in range(100)), MAKE).errors) < 10


def test_a_prompt_of_100_kilobytes_is_refused_in_one_sentence() -> None:
    assert "100,000 characters" in refusal("x" * 100_000)
    for text in ('"a ' * 33_000, "“a " * 33_000, "a:" * 50_000, "--a " * 25_000, "-" * 100_000):
        assert parse(text, MAKE).errors


def test_words_fill_options_in_order_where_nothing_takes_the_rest() -> None:
    assert parse('"job 7" 3 --tiled', SHOW).values == {"job": "job 7", "size": 3, "tiled": True}
    (error,) = parse("a 3 more words", SHOW).errors
    assert error == "/show does not know what to do with “more”. Write it like this: /show <job> [<size>] [--tiled]"
    (error,) = parse("a b c", SHOW).errors
    assert error == "size must be a whole number, not “b”."
    two = command("mix", options=(IMAGE, Option(name="how")))
    assert parse("soft https://a.example/f.png", two).values == {"how": "soft", "image": "https://a.example/f.png"}


def test_a_picture_may_be_a_link_but_not_words() -> None:
    assert parse("--image https://a.example/f.png snow", EFFECT).values == {
        "image": "https://a.example/f.png",
        "prompt": "snow",
    }
    (error,) = parse("--image fox.png", EFFECT).errors
    assert error == "image must be a picture, not “fox.png”: attach it, or give a link that begins with https://."


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/make a fox", ("make", "a fox")),
        ("  /MAKE@Chatelier_bot  a\nfox ", ("make", "a\nfox ")),
        ("/make", ("make", "")),
        ("/make\na fox", ("make", "a fox")),
        ("/re-do it", ("re-do", "it")),
        ("/", None),
        ("/ make", None),
        ("/usr/bin", None),
        ("//make", None),
        ("make", None),
        ("and/or /make", None),
        ("", None),
    ],
)
def test_what_is_a_command(text: str, meant: tuple[str, str] | None) -> None:
    assert command_of(text) == meant


@given(st.integers(-(2**64), 2**64))
def test_whole_numbers_are_read_as_they_are(number: int) -> None:
    assert check(SEED, f" {number} ") == number
    assert check(SEED, f"{number:_}") == number


@given(st.floats(0, 30))
def test_numbers_are_read_as_they_are(number: float) -> None:
    assert check(CFG, repr(number)) == number


@given(st.text())
def test_a_number_is_read_or_refused(text: str) -> None:
    for option in (SEED, CFG, WIDTH, TILED, STYLE, IMAGE):
        try:
            value = check(option, text)
        except BadInput as bad:
            assert str(bad).startswith(f"{option.name} must be")  # noqa: PT017 - both ends are right
        else:
            assert not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize(
    ("option", "given_", "said"),
    [
        (WIDTH, "abc", "width must be a whole number from 64 to 2048 in steps of 8, not “abc”."),
        (WIDTH, "5000", "width must be a whole number from 64 to 2048 in steps of 8, not “5000”."),
        (WIDTH, "515", "width goes in steps of 8 from 64: 512 or 520, not “515”."),
        (WIDTH, "512.5", "width must be a whole number from 64 to 2048 in steps of 8, not “512.5”."),
        (WIDTH, "٥١٢", "width must be a whole number from 64 to 2048 in steps of 8, not “٥١٢”."),
        (SEED, "1,024", "seed must be a whole number, not “1,024”: write it without a comma, as in 0.5 or 1024."),
        (CFG, "7,5", "cfg must be a number from 0 to 30, not “7,5”: write it without a comma, as in 0.5 or 1024."),
        (CFG, "1e999", "cfg must be a number from 0 to 30, not “1e999”."),
        (CFG, "nan", "cfg must be a number from 0 to 30, not “nan”."),
        (TILED, "perhaps", "tiled must be yes or no, not “perhaps”."),
        (STYLE, "pencil", "style must be one of photo, dark_ink, Oil, not “pencil”."),
        (SEED, "9" * 5000, f"seed must be a whole number, not “{'9' * 39}…”."),
        (SEED, "x y\n" * 30, "seed must be a whole number, not “x y x y x y x y x y x y x y x y x y x y…”."),
        (Option(name="n", type="integer", minimum=1), "0", "n must be a whole number of 1 or more, not “0”."),
        (Option(name="n", type="number", maximum=2, step=0.5), "3", "n must be a number of 2 or less in steps of 0.5, not “3”."),
        (Option(name="n", type="number", maximum=2, step=0.5), "1.3", "n goes in steps of 0.5: 1.0 or 1.5, not “1.3”."),
        (Option(name="t", max_length=3), "four", "t is 4 characters long, and at most 3 are taken: please shorten it."),
        (CLIP, "x", "clip must be a video, not “x”: attach it, or give a link that begins with https://."),
    ],
)  # fmt: skip
def test_a_refusal_names_the_option_what_was_given_and_what_is_allowed(option: Option, given_: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check(option, given_)
    assert str(caught.value) == said.replace("1.0 or", "1 or")


def test_steps_are_counted_from_the_least_value() -> None:
    odd = Option(name="n", type="integer", minimum=1, maximum=9, step=2)
    assert [check(odd, n) for n in ("1", "9")] == [1, 9]
    with pytest.raises(BadInput, match="7 or 9"):
        check(odd, "8")
    tenths = Option(name="n", type="number", minimum=0, step=0.1)
    assert check(tenths, "0.7") == 0.7
    big = Option(name="n", type="integer", minimum=0, step=2)
    with pytest.raises(BadInput):
        check(big, str(2**63 + 1))


@pytest.mark.parametrize("said", ["yes", "Y", "ON", "True", "1"])
def test_ways_to_say_yes(said: str) -> None:
    assert check(TILED, said) is True


@pytest.mark.parametrize("said", ["no", "n", "Off", "FALSE", "0"])
def test_ways_to_say_no(said: str) -> None:
    assert check(TILED, said) is False


def test_a_close_choice_is_named_where_there_are_too_many_to_list() -> None:
    many = Option(
        name="style",
        type="choice",
        choices=tuple(Choice(value=name) for name in (*(f"style_{n}" for n in range(30)), "watercolour")),
    )
    with pytest.raises(BadInput, match=r"style_11, …, not “watercolor”\. Did you mean watercolour\?"):
        check(many, "watercolor")


def test_choices_that_are_not_known_yet_are_text() -> None:
    assert check(Option(name="model", type="choice"), "sdxl") == "sdxl"


def test_typed_options_and_forms_are_checked_the_same_way() -> None:
    given_: Mapping[str, Value | None] = {
        "prompt": " a fox ",
        "width": "512",
        "seed": 7.0,
        "cfg": 7,
        "tiled": True,
        "style": "dark ink",
        "negative_prompt": None,
    }
    values = typed(given_, MAKE)
    assert values == {"prompt": " a fox ", "width": 512, "seed": 7, "cfg": 7.0, "tiled": True, "style": "dark_ink"}
    assert [type(values[name]) for name in ("width", "seed", "cfg")] == [int, int, float]
    assert typed({"image": picture("a"), "prompt": "", "mask": " "}, EFFECT) == {"image": picture("a")}
    assert typed({"job": 7, "tiled": 0}, SHOW) == {"job": "7", "tiled": False}


def test_a_text_can_be_taken_away_but_not_one_that_must_be_there() -> None:
    assert typed({"negative_prompt": ""}, MAKE) == typed({"negative_prompt": " \n"}, MAKE) == {"negative_prompt": ""}
    assert typed({"prompt": "", "width": "", "style": " "}, MAKE) == {}
    assert [option.name for option in missing(MAKE, typed({"prompt": " "}, MAKE))] == ["prompt"]


def test_typed_options_are_refused_in_words() -> None:
    with pytest.raises(BadInput, match=r"^/make has no option widht. Did you mean width\?$"):
        typed({"widht": 5}, MAKE)
    with pytest.raises(BadInput, match=r"^width must be .*not “5”\.\ntiled must be yes or no"):
        typed({"width": 5, "tiled": "x"}, MAKE)
    with pytest.raises(BadInput, match="prompt must be text, not a file"):
        typed({"prompt": picture("a")}, MAKE)
    for odd in (math.nan, math.inf, 10**400, True, 0.5):
        with pytest.raises(BadInput, match="seed must be a whole number"):
            typed({"seed": odd}, MAKE)


def test_files_fill_the_first_options_of_their_kind() -> None:
    one, two = picture("1"), picture("2")
    assert with_files({}, EFFECT, [one]) == {"image": one}
    assert with_files({"prompt": "x"}, EFFECT, [one, two, picture("3")]) == {"prompt": "x", "image": one, "mask": two}
    assert with_files({"image": "https://a.example"}, EFFECT, [one]) == {"image": "https://a.example", "mask": one}
    film, odd = picture("f", "video/mp4"), picture("o", "application/octet-stream")
    assert with_files({}, EFFECT, [film, odd]) == {"clip": film, "image": odd}
    assert with_files({}, MAKE, [one]) == {}
    anything = command("keep", options=(Option(name="it", type="file"),))
    assert with_files({}, anything, [film]) == {"it": film}


def test_the_options_that_these_tests_use_are_all_different() -> None:
    assert len({option.name for option in (PROMPT, WIDTH, SEED, CFG, STYLE, TILED, NEGATIVE, IMAGE, MASK, CLIP)}) == 10


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("https://x.org/a.png", {"image": "https://x.org/a.png"}),
        ("oil https://x.org/a.png on wood", {"image": "https://x.org/a.png", "prompt": "oil on wood"}),
        ("as on see:https://x.org", {"prompt": "as on see:https://x.org"}),
        ("oil --image https://x.org/b.png https://x.org/a.png", {"image": "https://x.org/b.png", "prompt": "oil https://x.org/a.png"}),
        ("oil", {"prompt": "oil"}),
    ],
)  # fmt: skip
def test_a_link_in_the_text_is_the_picture_that_is_needed(text: str, values: dict[str, Value]) -> None:
    assert with_link(parse(text, EFFECT).values, EFFECT) == values


def test_a_link_stays_in_the_text_where_no_file_is_needed() -> None:
    values = parse("a sign with https://x.org/ on it", MAKE).values
    assert with_link(values, MAKE) == values


plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(str.strip)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prompt": plain.filter(bool),
            "width": st.integers(8, 256).map(lambda n: n * 8),
            "seed": st.integers(-1, 2**64),
            "cfg": st.floats(0, 30).map(lambda cfg: round(cfg, 3)),
            "style": st.sampled_from(["photo", "dark_ink", "Oil"]),
            "tiled": st.booleans(),
            "negative_prompt": st.one_of(plain, st.text('-"“”«»„= \nab', max_size=12)),
        },
    )
)
def test_a_line_that_is_spelled_out_says_the_same(values: dict[str, Any]) -> None:
    line = line_of(MAKE, values)
    found = command_of(line)
    assert found is not None
    parsed = parse(found[1], MAKE)
    assert parsed.errors == ()
    told = {name: value for name, value in values.items() if value != {"width": 512, "seed": -1}.get(name)}
    if "negative_prompt" in told and "negative_prompt" not in parsed.values:
        assert all(set(pair) & set(told["negative_prompt"]) for pair in ('"', "“”", "«»", "„“"))
        del told["negative_prompt"]
    assert parsed.values == told
