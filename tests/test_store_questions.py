"""What may be asked, and that every engine gives the same answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier import Kind, Query, Question, Record, Store, SystemClock, Tx, unique_values
from chatelier.core.testing.store import FakeStore
from chatelier.core.testing.store_suite import SAMPLES, TALLIES, Place, Sample
from chatelier.plugins.sqlite import open_sqlite

moments = st.integers(0, 3000).map(lambda us: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
streets = st.sampled_from(["", "a", "A", "ä", "ab", "é\N{GRINNING FACE}"])
samples = st.builds(
    Sample,
    key=st.text("abc", min_size=1, max_size=3),
    name=st.none() | streets,
    state=st.sampled_from(["open", "shut"]),
    ready=st.booleans(),
    amount=st.integers(-3, 3),
    place=st.builds(Place, street=streets, floor=st.integers(-2, 2)),
    seen=st.none() | moments,
)
bounds = st.none() | st.integers(-3, 3)
questions: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {"where": st.fixed_dictionaries({"state": st.sampled_from(["open", "shut"])}), "order": st.just("amount")},
        optional={"since": bounds, "until": bounds},
    ),
    st.fixed_dictionaries(
        {"where": st.fixed_dictionaries({"state": st.just("open"), "ready": st.booleans()}), "order": st.just("seen")},
        optional={"since": st.none() | moments, "until": st.none() | moments},
    ),
    st.fixed_dictionaries({"where": st.fixed_dictionaries({"place.street": streets, "name": st.none() | streets})}),
    st.fixed_dictionaries({"where": st.fixed_dictionaries({"place.street": streets}), "order": st.just("place.floor")}),
    st.just({}),
)
turns = st.fixed_dictionaries({}, optional={"descending": st.booleans(), "limit": st.integers(1, 5)})
turned = st.builds(lambda question, turn: {**question, **turn}, questions, turns)
UNBOUND = Kind(name="samples", record=Sample, queries=SAMPLES.queries)


async def answers(store: Store, records: Sequence[Sample], asked: Sequence[dict[str, Any]]) -> list[list[Sample]]:
    async def work(tx: Tx) -> None:
        for record in records:
            await tx.insert(UNBOUND, record)

    await store.atomically(work)
    return [await store.find(UNBOUND, **one) for one in asked]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(samples, max_size=12, unique_by=lambda one: one.key),
    st.lists(st.builds(lambda q, t: {**q, **t}, questions, turns), min_size=5, max_size=10),
)
def test_engines_agree_on_every_answer(records: list[Sample], asked: list[dict[str, Any]]) -> None:
    async def compare(folder: str) -> None:
        clock = SystemClock()
        async with (
            FakeStore([UNBOUND], clock) as fake,
            open_sqlite(f"sqlite://{folder}/x.db", [UNBOUND], clock) as real,
        ):
            assert await answers(real, records, asked) == await answers(fake, records, asked)

    with TemporaryDirectory() as folder:
        asyncio.run(compare(folder))


@given(st.lists(samples, max_size=12), questions)
def test_an_answer_holds_what_fits_and_nothing_else(records: list[Sample], asked: dict[str, Any]) -> None:
    """Against the plain meaning of the words, written a second time."""
    question = Question.of(UNBOUND, **asked)
    for record in records:
        values = {
            "state": record.state,
            "ready": record.ready,
            "name": record.name,
            "place.street": record.place.street,
        }
        fits = all(values[path] == value for path, value in asked.get("where", {}).items())
        if order := asked.get("order"):
            place: Any = record.place.floor if order == "place.floor" else getattr(record, order)
            low, high = asked.get("since"), asked.get("until")
            if isinstance(place, datetime):
                place, low, high = (moment and cut(moment) for moment in (place, low, high))
            fits = fits and place is not None and (low is None or low <= place) and (high is None or place < high)
        assert question.fits(UNBOUND.dump(record)) == fits


def cut(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_an_undeclared_question_names_the_kind_and_what_it_declares() -> None:
    with pytest.raises(
        ValueError, match=r"'samples' is not asked \(name\) by key.*\(state\) by due; \(state\) by amount"
    ):
        Question.of(SAMPLES, {"name": "Ada"})
    with pytest.raises(ValueError, match="declares: nothing"):
        Question.of(TALLIES)


def test_bounds_need_an_order_and_limits_a_record() -> None:
    with pytest.raises(ValueError, match="order"):
        Question.of(SAMPLES, until=3)
    with pytest.raises(ValueError, match="limit of 0"):
        Question.of(SAMPLES, limit=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "two words"},
        {"name": "jobs-1"},
        {"name": "größen"},
        {"name": "jobs", "queries": (Query(("stat",)),)},
        {"name": "jobs", "queries": (Query((), "plac.street"),)},
        {"name": "jobs", "unique": ("nam",)},
    ],
)
def test_a_kind_with_a_typo_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="kind"):
        Kind(record=Sample, **wrong)


def test_unique_values_are_the_strings_of_a_field() -> None:
    sample = Sample(key="a", name="Ada", tags=("x", "", "y", "x"))
    assert unique_values(SAMPLES, SAMPLES.dump(sample)) == [("name", "Ada"), ("tags", "x"), ("tags", "y")]
    assert unique_values(SAMPLES, SAMPLES.dump(Sample(key="b"))) == []


@given(samples)
def test_a_record_survives_its_document(sample: Sample) -> None:
    seen = sample.seen and cut(sample.seen)
    loaded = SAMPLES.load(SAMPLES.dump(sample))
    assert (loaded.seen, loaded.place, loaded.name) == (seen, sample.place, sample.name)
    assert SAMPLES.dump(loaded) == SAMPLES.dump(sample)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather(Record):
    degrees: Mapping[str, float | str]


WEATHER = Kind(name="weather", record=Weather)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
async def test_a_number_that_json_cannot_hold_is_refused_before_it_is_stored(number: float) -> None:
    async with FakeStore([WEATHER]) as store:
        with pytest.raises(ValueError, match="weather 'today' holds a number"):
            await store.atomically(
                lambda tx: tx.insert(WEATHER, Weather(key="today", degrees={"noon": 20.5, "dusk": number}))
            )
        assert await store.get(WEATHER, "today") is None
