"""Sliding windows: exact, and measured at the arrival."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.providers.sandbox.config import MaskrConfig, SandboxConfig
from tasks.providers.sandbox.limits import Limit, SlidingWindow
from tasks.providers.sandbox.traffic import busiest
from tests.tasks.providers.sandbox.harness import inside


@pytest.mark.parametrize(
    ("text", "amount", "period_s"), [("60/min", 60, 60), ("4/s", 4, 1), ("60/6s", 60, 6), ("5/0.5s", 5, 0.5)]
)
def test_limits_are_read_as_people_write_them(text, amount, period_s):
    assert Limit.parse(text) == Limit(amount=amount, period_s=period_s)
    assert Limit.parse(str(Limit.parse(text))) == Limit.parse(text)


@pytest.mark.parametrize("text", ["", "60", "60/fortnight", "0/min", "-1/s", "4/0s", "4 a second"])
def test_what_is_no_limit_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="60/min"):
        Limit.parse(text)


EIGHTHS = st.integers(0, 40).map(lambda number: number / 8)  # exact in binary, so that borders are hit exactly
LIMITS = st.lists(
    st.builds(Limit, amount=st.integers(1, 9), period_s=st.integers(4, 160).map(lambda number: number / 8)),
    min_size=1,
    max_size=3,
)


@given(gaps_s=st.lists(EIGHTHS, max_size=200), limits=LIMITS)
def test_no_window_ever_admits_more_than_its_amount(gaps_s, limits):
    """And it refuses only what would break it: behind a refused arrival stands a full window, until the time it names."""
    window, now_s, admitted = SlidingWindow(tuple(limits)), 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        waits_s = [sorted(admitted)[-x.amount] + x.period_s - now_s for x in limits if len(admitted) >= x.amount]
        wait_s = window.admit(now_s)

        assert wait_s == (max(waits_s) if waits_s and max(waits_s) > 0 else None)
        if wait_s is None:
            admitted.append(now_s)
    for limit in limits:
        assert busiest(admitted, limit.period_s) <= limit.amount


@given(arrivals_s=st.lists(EIGHTHS, max_size=60), limits=LIMITS)
def test_arrivals_that_are_decided_on_out_of_order_break_no_window(arrivals_s, limits):
    window = SlidingWindow(tuple(limits))
    admitted = [arrived_s for arrived_s in arrivals_s if window.admit(arrived_s) is None]

    for limit in limits:
        assert busiest(admitted, limit.period_s) <= limit.amount


def test_a_window_forgets_what_is_long_past():
    window = SlidingWindow((Limit(amount=5, period_s=1),))
    for second in range(10_000):
        window.admit(float(second))

    assert len(window) < 1000


def test_each_account_has_a_window_of_its_own_and_the_report_shows_the_busiest():
    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(limits=("2/6s",)))
        async with inside(config) as sandbox:
            for key in ("one", "other"):
                for _ in range(3):
                    await sandbox.remove_object(headers={"Authorization": f"Bearer {key}"})
            sandbox.clock.passed_s += 6
            await sandbox.remove_object(headers={"Authorization": "Bearer one"})

            report = (await sandbox.get("/_sandbox/requests")).json()
            one, other = report["lanes"]
            assert (one["arrived"], one["admitted"], one["refused"]) == (4, 3, 1)
            assert one["windows"] == [{"limit": "2/6s", "most_arrived": 3, "most_admitted": 2}]
            assert other["admitted"] == 2
            assert report["rate_limited"] == 2
            assert report["by_status"]["maskr"]["submit"] == {"200": 5, "429": 2}

    asyncio.run(run())


def test_a_request_counts_when_it_arrives_not_when_it_is_served():
    """A slow answer does not push its place in the window back."""

    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(limits=("1/6s",), latency_s=5))
        async with inside(config) as sandbox:
            assert (await sandbox.remove_object()).status_code == 200  # 5 s pass while it is served
            assert (await sandbox.remove_object()).headers["Retry-After"] == "1"
            sandbox.clock.passed_s += 1
            assert (await sandbox.remove_object()).status_code == 200

    asyncio.run(run())
