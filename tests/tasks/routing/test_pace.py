"""Sliding windows: the closed forms against a plain simulation of the rule itself."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.config import RateLimit
from tasks.routing import Pace, StartLog

LIMITS = st.lists(
    st.builds(RateLimit, amount=st.integers(1, 12), period_s=st.integers(1, 12).map(float)), min_size=1, max_size=3
)


def simulated(limits: list[RateLimit], count: int) -> list[float]:
    """As early as possible, never more than `amount` in any `period_s`: by the definition alone."""
    starts: list[float] = []
    for k in range(count):
        due = [starts[k - limit.amount] + limit.period_s for limit in limits if k >= limit.amount]
        starts.append(max([0.0, *due]))
    return starts


@given(LIMITS, st.integers(0, 150))
def test_the_nth_start_is_that_of_the_windows_themselves(limits: list[RateLimit], nth: int) -> None:
    assert Pace.fresh(limits).start_in_s(nth) == simulated(limits, nth + 1)[-1]


@given(LIMITS, st.integers(0, 60))
def test_as_many_are_startable_as_the_windows_let_start(limits: list[RateLimit], within_s: int) -> None:
    starts = simulated(limits, 12 * 61 + 1)

    assert Pace.fresh(limits).startable(within_s) == sum(start <= within_s for start in starts)


@settings(max_examples=50)
@given(LIMITS, st.lists(st.floats(0, 5), max_size=40))
def test_a_log_never_breaks_a_window_and_never_waits_needlessly(limits: list[RateLimit], idle: list[float]) -> None:
    log, now, starts = StartLog(limits), 0.0, []
    for pause in idle:
        at = log.next_start(now + pause)
        assume(at >= now)
        for limit in limits:
            recent = [start for start in starts if start > at - limit.period_s + 1e-6]
            assert len(recent) < limit.amount
        if at > now + pause:
            earlier = at - 1e-3
            assert any(sum(start > earlier - limit.period_s for start in starts) >= limit.amount for limit in limits)
        log.started(at)
        starts.append(at)
        now = at


def test_a_used_window_says_what_is_left_of_it() -> None:
    log = StartLog([RateLimit.parse("3/min")])
    for at in (0.0, 10.0, 20.0):
        log.started(at)

    assert log.pace(30.0).startable() == 0
    assert log.pace(30.0).start_in_s(0) == 30.0
    assert log.pace(65.0).startable() == 1


def test_tickets_come_back_one_by_one_as_they_were_used() -> None:
    log = StartLog([RateLimit.parse("3/min")])
    for at in (0.0, 10.0, 20.0):
        log.started(at)

    assert [log.pace(30.0).start_in_s(n) for n in range(5)] == [30.0, 40.0, 50.0, 90.0, 100.0]
    assert [log.pace(30.0).startable(within) for within in (29.0, 30.0, 45.0, 60.0, 90.0)] == [0, 1, 2, 3, 4]


@settings(max_examples=50)
@given(LIMITS, st.lists(st.floats(0, 3), min_size=1, max_size=30), st.integers(1, 40))
def test_a_used_pace_is_never_later_than_the_windows_allow(
    limits: list[RateLimit], idle: list[float], count: int
) -> None:
    """And exact where one limit alone binds."""
    log, now = StartLog(limits), 0.0
    starts: list[float] = []
    for pause in idle:
        now = log.next_start(now + pause)
        log.started(now)
        starts.append(now)
    pace = log.pace(now)
    for nth in range(count):
        due = [starts[-limit.amount] + limit.period_s for limit in limits if len(starts) >= limit.amount]
        starts.append(max([now, *due]))
        if len(limits) == 1:
            assert abs(pace.start_in_s(nth) - (starts[-1] - now)) < 1e-6
        else:
            assert pace.start_in_s(nth) <= starts[-1] - now + 1e-6


def test_a_retry_after_holds_everything() -> None:
    pace = StartLog([RateLimit.parse("3/min")]).pace(100.0, hold_until=130.0)

    assert pace.start_in_s(0) == 30.0
    assert pace.startable(29.0) == 0
    assert pace.startable(30.0) == 3


def test_at_most_five_in_flight_of_ten_seconds_each_is_a_window_too() -> None:
    pace = Pace().within(at_once=5, in_flight=0, latency_s=10.0)

    assert [pace.start_in_s(n) for n in (4, 5, 10)] == [0.0, 10.0, 20.0]
    assert pace.per_second == 0.5


def test_places_in_flight_come_free_one_after_the_other() -> None:
    pace = Pace().within(at_once=5, in_flight=5, latency_s=10.0)

    assert [pace.start_in_s(n) for n in (0, 1, 4, 5)] == [2.0, 4.0, 10.0, 12.0]
    assert Pace().within(at_once=5, in_flight=2, latency_s=10.0).startable() == 3


def test_megapixel_limits_count_typical_pictures() -> None:
    assert Pace.fresh([RateLimit.parse("20MP/min")], megapixels=3).startable() == 6
