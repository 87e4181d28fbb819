"""What the declarations are good for: the registry, help, completion and forms."""

from collections.abc import Mapping

import pytest

from chatelier import ButtonRules, Choice, FileRef, Option, Value
from chatelier.core.chat.dialects import PLAIN
from chatelier.core.chat.markup import document
from chatelier.core.commands.complete import complete
from chatelier.core.commands.forms import form_for, missing, question
from chatelier.core.commands.help import help_for, overview, unknown_command, usage
from chatelier.core.commands.registry import Registry
from commands import CFG, EFFECT, IMAGE, MAKE, PROMPT, SHOW, STYLE, TILED, WIDTH, command

BAN = command("ban", operators=True, group="Operator")


def registry(*commands: object) -> Registry:
    known = Registry()
    for one in commands or (SHOW, MAKE, EFFECT, BAN):
        known.add(one)  # type: ignore[arg-type] # commands, all of them
    return known


def plain(markdown: str) -> str:
    return PLAIN.render(document(markdown))


def test_commands_are_found_by_name_and_alias_without_case() -> None:
    known = registry()
    assert known.get("make") is known.get("DRAW") is MAKE
    assert known.get("nothing") is None
    assert known.names() == ("ban", "effect", "make", "show")
    assert [one.name for one in known] == list(known.names())
    assert len(known) == 4


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (command("make"), "the name make is taken by /make"),
        (command("paint", aliases=("draw",)), "the name draw is taken by /make"),
        (command("Paint"), "'Paint'"),
        (command("x" * 33), "1 to 32"),
        (command("paint", aliases=("a b",)), "'a b'"),
        (command("paint", options=(Option(name="two words"),)), "'two words'"),
        (command("paint", options=(WIDTH, WIDTH)), "two options of one name"),
        (command("paint", options=(PROMPT, Option(name="more", rest=True))), "the rest of the line"),
        (command("paint", summary="x" * 101), "one line"),
        (command("paint", summary="x\ny"), "one line"),
        (command(5), "name: "),  # type: ignore[arg-type] # wrong
        (command("paint", group=None), "group: "),
        (command("paint", overlap="at once"), "overlap: "),
        (command("paint", handler=None), "handler: "),
        (command("paint", options=("x",)), "options"),
        (command("paint", options=(Option(name="w", type="integer", minimum="a"),)), "option w: minimum: "),  # type: ignore[arg-type] # wrong
        (command("paint", options=(Option(name="w", type="colour"),)), "option w: type: "),  # type: ignore[arg-type] # wrong
        (command("paint", options=(Option(name="w", choices=(Choice(value=1),)),)), "option w: choice 1: value: "),  # type: ignore[arg-type] # wrong
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused_by_name(bad: object, words: str) -> None:
    known = registry(MAKE)
    with pytest.raises(ValueError, match=words):
        known.add(bad)  # type: ignore[arg-type] # a command
    assert known.names() == ("make",)


def test_a_set_of_commands_is_replaced_as_a_whole_and_what_is_taken_is_named() -> None:
    known = registry(SHOW)
    assert known.replace_group("workflows", [MAKE, EFFECT]) == ()
    assert known.replace_group("other", [command("sing")]) == ()
    problems = known.replace_group("workflows", [command("show"), EFFECT, command("effect"), command("upscale")])
    assert [problem.split(":")[0] for problem in problems] == [
        "the command /show is left out",
        "the command /effect is left out",
    ]
    assert known.names() == ("effect", "show", "sing", "upscale")
    assert known.get("show") is SHOW
    assert known.get("draw") is None
    assert known.replace_group("workflows", []) == ()
    assert known.names() == ("show", "sing")


def test_a_misspelt_command_is_met_with_the_right_one() -> None:
    assert unknown_command("mkae", registry()) == "There is no command /mkae. Did you mean /make?"
    assert unknown_command("Drew", registry()) == "There is no command /Drew. Did you mean /make?"
    assert unknown_command("banish" * 50, registry()).endswith("…. Write /help to see all of them.")
    assert registry().suggest("bann") == ()


def test_groups_stand_in_the_order_they_came_with_more_at_the_end() -> None:
    assert [(group, [one.name for one in commands]) for group, commands in registry().grouped()] == [
        ("Make", ["effect", "make"]),
        ("Operator", ["ban"]),
        ("More", ["show"]),
    ]


@pytest.mark.parametrize(
    ("declared", "line"),
    [
        (MAKE, "/make prompt… [--width 64…2048] [--seed <integer>] [--style photo|dark_ink|Oil] [--tiled] [--negative_prompt <text>] …"),
        (EFFECT, "/effect prompt… --image <image> [--mask <image>] [--clip <video>]"),
        (SHOW, "/show <job> [<size>] [--tiled]"),
        (command("ping"), "/ping"),
        (command("pick", options=(PROMPT, Option(name="n", type="choice", choices=tuple(Choice(value=c) for c in "abcdef")))),
         "/pick prompt… [--n a|b|c|d|…]"),
        (command("say", options=(Option(name="words", rest=True),)), "/say [words…]"),
    ],
)  # fmt: skip
def test_usage_is_made_from_the_declaration(declared: object, line: str) -> None:
    assert usage(declared) == line  # type: ignore[arg-type] # a command


def test_the_overview_has_every_command_with_an_example_and_the_operators_only_for_them() -> None:
    shown = plain(overview(registry()))
    assert (
        "Make\n\n- /effect About effect\n- /make About make For example /make a red fox\n\nMore\n\n- /show About show"
        in shown
    )
    assert "/ban" not in shown
    assert "Operator\n\n- /ban" in plain(overview(registry(), operator=True))


def test_help_for_one_command_has_all_that_was_declared() -> None:
    shown = plain(help_for(MAKE))
    assert shown.startswith("/make About make\n\n/make prompt… [--width")
    for line in (
        "Makes pictures.",
        "- prompt text, required.",
        "- --width a whole number from 64 to 2048 in steps of 8, 512 if you say nothing.",
        "- --style one of photo, dark_ink, Oil.",
        "- --tiled yes or no.",
        "More options\n\n- --cfg a number from 0 to 30.",
        "Also called /draw.",
        "Examples\n\n- /make a red fox\n- /make a fox --width 768",
    ):
        assert line in shown
    assert "- --image a picture, attached, or a link to it, required. The picture to change." in plain(help_for(EFFECT))


def test_help_shows_declarations_literally() -> None:
    odd = command("odd", summary="*a* <b>", options=(Option(name="x", description="see [y](z) _now_", default="*"),))
    shown = plain(help_for(odd))
    assert "/odd *a* <b>" in shown
    assert "- --x text, * if you say nothing. see [y](z) _now_" in shown
    assert "Examples" not in shown
    said = command("said", options=(Option(name="x", type="boolean", default=False),), details="About said")
    assert plain(help_for(said)) == "/said About said\n\n/said [--x]\n\n- --x yes or no, no if you say nothing."


def test_names_are_completed_from_their_beginning_then_from_within() -> None:
    known = registry(SHOW, MAKE, EFFECT, BAN, command("remake"), command("draw2", summary="Has make in it"))
    assert [choice.value for choice in complete(known, "", "", "/MA")] == ["make", "remake", "draw2"]
    assert [choice.value for choice in complete(known, "", "", "")] == ["draw2", "effect", "make", "remake", "show"]
    assert complete(known, "", "", "mak")[0].label == "/make: About make"
    assert complete(known, "", "", "zzz") == ()


def test_values_are_completed_from_the_choices() -> None:
    known = registry(MAKE)
    assert [choice.value for choice in complete(known, "make", "style", "")] == ["photo", "dark_ink", "Oil"]
    assert [choice.value for choice in complete(known, "draw", "style", "dark i")] == ["dark_ink"]
    assert [choice.value for choice in complete(known, "make", "style", "i")] == ["dark_ink", "Oil"]
    assert [choice.value for choice in complete(known, "make", "tiled", "n")] == ["no"]
    for name, option in (("make", "width"), ("make", "nothing"), ("nothing", "style")):
        assert complete(known, name, option, "x") == ()


def test_no_network_gets_more_than_it_shows() -> None:
    many = Option(name="m", type="choice", choices=tuple(Choice(value=f"m{n}") for n in range(60)))
    assert len(complete(registry(command("pick", options=(many,))), "pick", "m", "m")) == 25


def test_what_is_missing_has_neither_value_nor_default() -> None:
    assert missing(EFFECT, {}) == (IMAGE, PROMPT)
    assert missing(EFFECT, {"prompt": "a", "image": None}) == (IMAGE,)
    assert missing(command(options=(Option(name="n", required=True, default=3),)), {}) == ()


def test_a_form_asks_for_everything_with_what_is_known_filled_in() -> None:
    known: Mapping[str, Value | None] = {
        "prompt": "a fox",
        "width": 64,
        "tiled": True,
        "image": FileRef(platform="web", ref="1"),
        "other": 1,
        "seed": None,
    }
    form = form_for(MAKE, known, "k1")
    assert (form.key, form.title) == ("k1", "About make")
    assert form.fields[-1] == CFG
    assert len(form.fields) == len(MAKE.options)
    assert form.values == {"prompt": "a fox", "width": 64, "tiled": True}
    assert form_for(EFFECT, known, "k1").values == {"prompt": "a fox"}


def test_a_question_says_what_may_be_answered() -> None:
    assert plain(question(PROMPT, "k", ButtonRules()).text) == "What should prompt be?"
    assert (
        plain(question(IMAGE, "k", ButtonRules()).text)
        == "Please send a picture for image (The picture to change), or a link to one."
    )
    assert (
        plain(question(WIDTH, "k", ButtonRules()).text)
        == "What should width be? Please answer with a whole number from 64 to 2048 in steps of 8."
    )
    assert plain(question(STYLE, "k", ButtonRules()).text).endswith("Please answer with one of photo, dark_ink, Oil.")
    assert plain(question(TILED, "k", ButtonRules()).text).endswith("Please answer with yes or no.")
    labelled = Option(name="x_y", label="*Strength*", type="number", description="How much.")
    assert (
        plain(question(labelled, "k", ButtonRules()).text)
        == "What should *Strength* be (How much)? Please answer with a number."
    )


@pytest.mark.parametrize(
    ("rules", "choices", "buttons"),
    [
        (ButtonRules(per_row=8, total=100), 24, 24),
        (ButtonRules(per_row=8, total=100), 25, 0),
        (ButtonRules(per_row=5, total=100, menus=True), 100, 100),
        (ButtonRules(per_row=5, total=100, menus=True), 101, 0),
    ],
)
def test_many_answers_have_buttons_where_a_network_makes_menus_of_them(
    rules: ButtonRules, choices: int, buttons: int
) -> None:
    models = Option(name="model", type="choice", choices=tuple(Choice(value=f"m{n}") for n in range(choices)))
    assert sum(map(len, question(models, "k", rules).buttons)) == buttons
