import dataclasses
from dataclasses import dataclass, field

import pytest

from chatelier.core.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    name: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Thing):
    size: int = 1
    kept: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Open:
    name: str


@dataclass(frozen=True, slots=True)
class Checked:
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("less than nothing")


@pytest.mark.parametrize("value", [Thing(name="a"), Part(name="a", parts=("x",), kept={"k": "v"}), Open("a")])
def test_a_copy_has_the_other_fields_and_the_value_stays(value: Thing | Part | Open) -> None:
    before = repr(value)
    copy = replace(value, name="b")
    assert copy == dataclasses.replace(value, name="b")
    assert type(copy) is type(value)
    assert repr(value) == before
    assert replace(value) == value


def test_a_class_of_somebody_else_that_adds_to_ours_is_copied_whole() -> None:
    @dataclass(frozen=True)
    class Theirs(Thing):
        more: int = 3

    copy = replace(Theirs(name="a", more=4), name="b")
    assert (copy.name, copy.more) == ("b", 4)


def test_a_value_that_checks_itself_is_checked() -> None:
    with pytest.raises(ValueError, match="less than nothing"):
        replace(Checked(1), size=-1)


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        replace(Thing(name="a"), colour="red")  # type: ignore[call-arg]
