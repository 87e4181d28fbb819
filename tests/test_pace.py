"""An account is never quicker than its network allows, and never slower than it must."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier import RateRules
from chatelier.core.chat.pace import CHATS, Pace

SLACK = 1e-6

TELEGRAM = RateRules(per_second=30, per_chat_second=1, per_chat_minute=20)


def test_a_burst_is_spread_over_its_chat() -> None:
    pace, rate = Pace(), RateRules(per_chat_second=2)
    assert [pace.take(rate, "a", 10.0) for _ in range(3)] == [10.0, 10.5, 11.0]
    assert pace.take(rate, "b", 10.0) == 10.0, "another chat does not wait"


def test_all_chats_together_keep_to_the_accounts_rate() -> None:
    pace, rate = Pace(), RateRules(per_second=4)
    assert [pace.take(rate, chat, 10.0) for chat in "abc"] == [10.0, 10.25, 10.5]


def test_an_album_counts_as_its_files() -> None:
    pace = Pace()
    assert pace.take(TELEGRAM, "a", 0.0, 10) == 0.0
    assert pace.take(TELEGRAM, "a", 0.0) == 10.0


def test_the_twenty_first_waits_until_the_first_is_a_minute_old() -> None:
    pace, rate = Pace(), RateRules(per_chat_minute=20)
    first = [pace.take(rate, "a", float(n)) for n in range(20)]
    assert first == [float(n) for n in range(20)]
    assert [pace.take(rate, "a", 20.0) for _ in range(2)] == [60.0, 61.0]


def test_edits_of_all_chats_are_spread_over_the_minute() -> None:
    pace, rate = Pace(), RateRules(edits_per_minute=40)
    assert [pace.edit(rate, 10.0) for _ in range(3)] == [10.0, 11.5, 13.0]
    assert pace.edit(rate, 100.0) == 100.0
    assert [pace.edit(RateRules(), 10.0) for _ in range(2)] == [10.0, 10.0]


def test_what_was_long_ago_counts_no_more() -> None:
    pace = Pace()
    for _ in range(30):
        pace.take(TELEGRAM, "a", 0.0)
    assert pace.take(TELEGRAM, "a", 500.0) == 500.0


def test_a_full_minute_is_not_forgotten_when_many_others_speak() -> None:
    pace, rate = Pace(), RateRules(per_chat_minute=1)
    pace.take(rate, "a", 0.0)
    for n in range(2 * CHATS):
        pace.take(rate, f"other {n}", 1.0)
    assert pace.take(rate, "a", 2.0) == 60.0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5), st.integers(1, 10)), max_size=120))
def test_no_window_ever_holds_more_than_is_allowed(asked: list[tuple[str, float, int]]) -> None:
    pace, now = Pace(), 0.0
    sent: list[tuple[float, str]] = []
    for chat, pause, messages in asked:
        now += pause
        at = pace.take(TELEGRAM, chat, now, messages)
        assert at >= now
        sent += [(at, chat)] * messages
    for chat in "abc":
        moments = [at for at, where in sent if where == chat]
        assert moments == sorted(moments), "in the order in which they were asked for"
        for at in moments:
            assert sum(at <= other < at + 60 - SLACK for other in moments) <= 20
