"""The arithmetic of sliding windows, against a count of every window."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.config.limits import LimitUnit, RateLimit
from tasks.credits.windows import Start, next_start

GUARD_S = 0.1


def fullest(starts: list[Start], period_s: float) -> float:
    """The most units in any window of this length that ends at a start."""
    return max(sum(size for at, size in starts if end - period_s < at <= end) for end, _ in starts)


@given(
    amount=st.integers(1, 6),
    period_s=st.sampled_from([1.0, 6.0, 60.0]),
    arrivals=st.lists(st.integers(0, 30_000).map(lambda ms: ms / 1000), min_size=1, max_size=40),
)
def test_no_window_ever_holds_more_and_no_start_is_later_than_it_must(
    amount: int, period_s: float, arrivals: list[float]
) -> None:
    limit = RateLimit(amount=amount, period_s=period_s)
    starts: list[Start] = []
    for arrival in sorted(arrivals):
        starts.append((max(arrival, next_start(starts, limit, megapixels=0, guard_s=GUARD_S)), 1.0))

    assert fullest(starts, period_s) <= amount
    for earlier, later in zip(starts, starts[amount:], strict=False):
        assert later[0] in arrivals or later[0] == earlier[0] + period_s + GUARD_S


@given(
    amount=st.integers(1, 20),
    sizes=st.lists(st.floats(0.1, 30), min_size=1, max_size=30),
)
def test_megapixels_are_counted_and_a_picture_larger_than_the_limit_goes_alone(amount: int, sizes: list[float]) -> None:
    limit = RateLimit(amount=amount, period_s=60, unit=LimitUnit.MEGAPIXELS)
    starts: list[Start] = []
    now = 0.0
    for size in sizes:
        now = max(now, next_start(starts, limit, megapixels=size, guard_s=GUARD_S))
        starts.append((now, size))

    for end, _ in starts:
        together = [size for at, size in starts if end - 60 < at <= end]
        assert sum(together) <= amount + 1e-6 or len(together) == 1


@given(
    amount=st.integers(1, 5),
    planned=st.lists(st.integers(0, 200), min_size=0, max_size=20),
)
def test_a_start_between_planned_ones_keeps_their_windows_too(amount: int, planned: list[float]) -> None:
    limit = RateLimit(amount=amount, period_s=10)
    starts: list[Start] = []
    for at in sorted(planned):  # as claims lie: each far enough behind the others
        starts.append((max(at, next_start(starts, limit, megapixels=0, guard_s=0)), 1.0))
    found = next_start(starts, limit, megapixels=0, guard_s=0)

    assert fullest(sorted([*starts, (max(found, 0.0), 1.0)]), 10) <= amount
