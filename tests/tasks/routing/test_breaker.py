"""The circuit breaker: its states on a clock that the test moves."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.config.routing import BreakerSettings
from tasks.routing import Admission, Breaker, BreakerState

SETTINGS = BreakerSettings(
    failures_in_a_row=3, failure_share=0.5, sample=10, open_s=15, longest_open_s=60, probe_timeout_s=100
)


def trusted(at: float = 0.0) -> Breaker:
    """One that has heard from its provider just now."""
    breaker = Breaker(SETTINGS)
    breaker.succeeded(breaker.admit(at), at)
    return breaker


def opened(at: float = 0.0) -> Breaker:
    breaker = trusted(at)
    for _ in range(3):
        breaker.failed(breaker.admit(at), at)
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_when_to_ask_again() -> None:
    breaker = opened(at=100.0)

    assert breaker.state(100.0) is BreakerState.OPEN
    assert breaker.admit(101.0) == Admission(allowed=False, retry_at=115.0, generation=1)  # 15 s later


def test_a_success_in_between_keeps_it_closed() -> None:
    breaker = trusted()
    for _ in range(2):
        breaker.failed(breaker.admit(0), 0)
    breaker.succeeded(breaker.admit(0), 0)
    breaker.failed(breaker.admit(0), 0)

    assert breaker.state(0) is BreakerState.CLOSED


def test_it_opens_on_a_share_of_failures_too() -> None:
    breaker = trusted()
    for n in range(10):
        admission = breaker.admit(n)
        (breaker.failed if n % 2 else breaker.succeeded)(admission, n)

    assert breaker.state(10) is BreakerState.OPEN


def test_one_probe_at_a_time_after_the_pause() -> None:
    breaker = opened()
    first, second = breaker.admit(15.0), breaker.admit(15.0)

    assert (first.allowed, first.probe) == (True, True)
    assert not second.allowed
    assert breaker.state(15.0) is BreakerState.HALF_OPEN


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.succeeded(breaker.admit(15.0), 16.0)

    assert breaker.state(16.0) is BreakerState.CLOSED
    assert not breaker.admit(16.0).probe


def test_each_failed_probe_doubles_the_pause_up_to_its_bound() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(5):
        again = breaker.retry_at(now)
        pauses.append(again - now)
        now = again
        breaker.failed(breaker.admit(now), now)

    assert pauses == [15, 30, 60, 60, 60]


def test_after_healing_the_pause_is_short_again() -> None:
    breaker = opened()
    breaker.failed(breaker.admit(15.0), 15.0)
    breaker.succeeded(breaker.admit(45.0), 45.0)
    for _ in range(3):
        breaker.failed(breaker.admit(50.0), 50.0)

    assert breaker.retry_at(50.0) == 65.0
    assert breaker.trips == 2


def test_fifty_requests_in_flight_at_its_death_are_one_event() -> None:
    breaker = trusted()
    flying = [breaker.admit(0.0) for _ in range(50)]
    for n, admission in enumerate(flying):
        breaker.failed(admission, 1.0 + n)

    assert breaker.trips == 1
    assert breaker.retry_at(4.0) == 3.0 + 15


def test_what_waited_for_its_ticket_while_the_provider_died_does_not_leave() -> None:
    breaker = trusted()
    waiting = breaker.admit(0.0)
    for _ in range(3):
        breaker.failed(breaker.admit(0.0), 0.0)

    assert not breaker.still_admits(waiting)
    assert not breaker.still_admits(breaker.admit(1.0))
    assert breaker.still_admits(breaker.admit(15.0))  # the probe


def test_a_slow_failure_from_before_does_not_reopen_what_has_healed() -> None:
    breaker = trusted()
    slow = [breaker.admit(0.0) for _ in range(10)]
    for admission in slow[:3]:
        breaker.failed(admission, 1.0)
    breaker.succeeded(breaker.admit(16.0), 17.0)
    for admission in slow[3:]:
        breaker.failed(admission, 20.0)

    assert breaker.state(20.0) is BreakerState.CLOSED


def test_a_probe_never_heard_of_again_counts_as_failed() -> None:
    breaker = opened()
    breaker.admit(15.0)

    assert not breaker.admit(114.0).allowed
    assert breaker.retry_at(116.0) == 115.0 + 30
    assert breaker.admit(145.0).probe


def test_a_probe_that_never_left_frees_its_place() -> None:
    breaker = opened()
    breaker.abandoned(breaker.admit(15.0))

    assert breaker.admit(15.0).probe


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "drop"]), st.floats(0, 200)), max_size=80))
def test_it_is_never_stuck(steps: list[tuple[str, float]]) -> None:
    """Whatever happened, there is a time at which one request is let through, no later than the longest pause or probe."""
    breaker, now = Breaker(SETTINGS), 0.0
    for what, later in steps:
        now += later
        admission = breaker.admit(now)
        if admission.allowed and what != "drop":
            (breaker.succeeded if what == "ok" else breaker.failed)(admission, now)

    for _ in range(3):
        now = max(now, breaker.retry_at(now) or now)
        if breaker.state(now) is BreakerState.CLOSED or breaker.admit(now).allowed:
            return
    raise AssertionError(f"nothing is let through at {now}")


def test_after_a_silence_one_request_goes_ahead_and_the_others_follow_when_it_was_answered() -> None:
    breaker = trusted(0.0)
    assert breaker.admit(29.0).most is None
    first, second = breaker.admit(30.0), breaker.admit(39.0)
    breaker.succeeded(first, 40.0)

    assert (first.most, second.most) == (1, 0)
    assert breaker.admit(40.0).most is None


def test_a_provider_that_died_in_the_silence_is_found_out_by_two_requests() -> None:
    breaker, sent = trusted(0.0), 0
    for now in (60.0, 61.0, 62.0):
        admission = breaker.admit(now)
        if admission.allowed and admission.most:
            sent += admission.most
            breaker.failed(admission, now + 0.5)

    assert sent == 2
    assert breaker.state(62.0) is BreakerState.OPEN


def test_one_that_went_ahead_and_never_left_frees_its_place() -> None:
    breaker = Breaker(SETTINGS)
    breaker.abandoned(breaker.admit(0.0))

    assert breaker.admit(0.0).most == 1


def test_the_first_request_ever_has_a_short_head_start() -> None:
    breaker = Breaker(SETTINGS)
    breaker.admit(0.0)

    assert breaker.admit(2.9).most == 0
    assert breaker.admit(3.0).most is None


def test_one_that_went_ahead_after_a_silence_and_was_never_heard_of_again_does_not_hold_up_the_others_for_ever() -> (
    None
):
    breaker = trusted(0.0)
    breaker.admit(50.0)

    assert breaker.admit(149.0).most == 0
    assert breaker.admit(150.0).most == 1


def test_an_engine_in_this_process_needs_nobody_to_go_ahead() -> None:
    assert Breaker(SETTINGS, cautious=False).admit(0.0).most is None
