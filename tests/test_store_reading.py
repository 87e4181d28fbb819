"""What is stored and is no record: what is said about it, and that it costs nobody more than a look."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import OperatorMust, Sieve, Stored, Unreadable
from chatelier.core.testing.logs import sent_to
from chatelier.core.testing.store_suite import SAMPLES, TALLIES, Sample, Tally

GOOD = {"key": "t", "version": 1, "amount": 3}


def tally(n: int, amount: object = 0) -> Stored:
    return Stored(f"{n}", 1, {"key": f"{n}", "version": 1, "amount": amount})


def test_a_record_is_read_from_values_and_from_text() -> None:
    text = json.dumps(GOOD)
    for document in (GOOD, text, text.encode()):
        assert Stored("t", 1, document).read(TALLIES) == Tally(key="t", version=1, amount=3)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        (b'{"key": "\xff"}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "type list"),
        (None, "type NoneType"),
        ({}, "says of itself that it is None"),
        ({**GOOD, "key": "other"}, "says of itself that it is 'other'"),
        ({**GOOD, "version": 7}, "version 7"),
        ({**GOOD, "amount": "canary"}, "amount: "),
        ({**GOOD, "amount": {"canary": 1}}, "amount: "),
    ],
)
def test_what_is_no_record_is_named_with_its_reason(document: Any, reason: str) -> None:
    """The reason repeats no value: a record may hold what somebody wrote."""
    with pytest.raises(OperatorMust, match=r"'t' of tallies .*`chatelier store check`") as raised:
        Stored("t", 1, document).read(TALLIES)
    error = raised.value
    assert isinstance(error, Unreadable)
    assert (error.kind, error.key) == ("tallies", "t")
    assert reason in error.reason
    assert error.fault == f"tallies 't' cannot be read: {error.reason}"
    assert "canary" not in error.fault


def test_of_several_faults_one_is_named_and_the_rest_counted() -> None:
    document = {**SAMPLES.dump(Sample(key="s", version=1)), "amount": "many", "ready": "perhaps", "tags": 7}
    with pytest.raises(Unreadable) as raised:
        Stored("s", 1, document).read(SAMPLES)
    assert raised.value.reason.endswith("(and 2 more)")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_stands_there_is_a_record_or_unreadable(values: Any) -> None:
    for document in (values, json.dumps(values)):
        with pytest.raises(Unreadable):
            Stored("\N{BELL}", 1, document).read(TALLIES)


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 10))
def test_the_first_readable_ones_are_drawn_and_no_more(readable: list[bool], limit: int) -> None:
    drawn: list[int] = []

    def found() -> Iterator[Stored]:
        for n, is_good in enumerate(readable):
            drawn.append(n)
            yield tally(n, n if is_good else "many")

    wanted = [n for n, is_good in enumerate(readable) if is_good][:limit]
    with sent_to(io.StringIO()):
        assert [record.amount for record in Sieve().first(TALLIES, found(), limit)] == wanted
    assert len(drawn) == (wanted[-1] + 1 if len(wanted) == limit else len(readable))


def test_each_is_said_once_though_many_threads_meet_it() -> None:
    stream, sieve = io.StringIO(), Sieve()
    bad = [tally(n, "canary") for n in range(20)]
    with sent_to(stream), ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: sieve.first(TALLIES, bad, 5), range(40)))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sorted(int(line["key"]) for line in lines) == list(range(20))
    assert {(line["level"], line["kind"]) for line in lines} == {("error", "tallies")}
    assert all("store check" in line["event"] and line["reason"] for line in lines)
    assert "canary" not in stream.getvalue()
