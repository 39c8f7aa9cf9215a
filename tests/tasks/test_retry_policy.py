"""The retry policy: what becomes of a row, a batch and a provider after an error."""

from decimal import Decimal
from random import Random

import pytest

from manifests.error_codes import ErrorCode
from tasks.config.routing import RetrySettings
from tasks.providers.errors import (
    InDoubtError,
    JobFailedError,
    OutOfCreditError,
    ProviderError,
    ProviderOffError,
    RateLimitedError,
    RejectedItemError,
    TransientError,
)
from tasks.retry_policy import (
    Action,
    Effect,
    History,
    Phase,
    RetryDecision,
    Trial,
    Verdict,
    backoff_s,
    consequence,
    decide,
    decide_batch,
)

SETTINGS = RetrySettings(attempts=4, attempts_in_all=8, total_s=900, first_wait_s=1, longest_wait_s=60)


def decided(error: ProviderError, **overrides: object) -> RetryDecision:
    given = {"attempt": 1, "attempts_in_all": 1, "elapsed_s": 0.0, "settings": SETTINGS, "rng": Random(1)}
    return decide(error, **(given | overrides))


def decided_batch(error: ProviderError, **overrides: object) -> RetryDecision:
    given = {
        "rows": 50,
        "attempt": 1,
        "elapsed_s": 0.0,
        "settings": SETTINGS,
        "rng": Random(1),
        "provider_serves_others": False,
    }
    return decide_batch(error, **(given | overrides))


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("attempt", [1, 3])
def test_what_may_have_been_charged_is_never_sent_again(phase: Phase, attempt: int) -> None:
    decision = decided(InDoubtError("cut off"), phase=phase, attempt=attempt)

    assert (decision.action, decision.code) == (Action.NO, ErrorCode.IN_DOUBT)


@pytest.mark.parametrize(
    "error",
    [
        RejectedItemError("not this one"),
        OutOfCreditError("402"),
        ProviderOffError("wrong key"),
        JobFailedError("ended badly", charged_usd=Decimal("0.48")),
        JobFailedError("ended badly, no word of money"),
        ProviderError("fits no document", code=ErrorCode.UNEXPECTED_ANSWER),
    ],
)
def test_what_this_provider_will_not_do_goes_elsewhere_at_once(error: ProviderError) -> None:
    decision = decided(error)

    assert (decision.action, decision.code) == (Action.ELSEWHERE, error.code)
    assert error.message in decision.reason


def test_a_passing_error_is_tried_again_here_until_its_attempts_are_spent_then_elsewhere() -> None:
    error = TransientError("HTTP 503")
    actions = [decided(error, attempt=n, attempts_in_all=n).action for n in (1, 2, 3, 4)]

    assert actions == [Action.AGAIN, Action.AGAIN, Action.AGAIN, Action.ELSEWHERE]


@pytest.mark.parametrize("spent", [{"attempts_in_all": 8}, {"elapsed_s": 900.0}])
def test_attempts_in_all_and_total_time_end_it(spent: dict[str, float]) -> None:
    assert decided(TransientError("HTTP 503"), **spent).action is Action.NO


def test_waits_are_spread_over_the_whole_interval_which_doubles_up_to_its_bound() -> None:
    rng = Random(7)
    for attempt, ceiling in [(1, 1), (2, 2), (5, 16), (7, 60), (5000, 60)]:
        waits = [backoff_s(attempt, SETTINGS, rng) for _ in range(2000)]

        assert 0 <= min(waits) < 0.02 * ceiling
        assert 0.98 * ceiling < max(waits) <= ceiling


def test_retry_after_is_waited_out_and_jittered_beyond_never_before() -> None:
    waits = {decided(RateLimitedError("429", retry_after_s=30), rng=Random(n)).wait_s for n in range(50)}

    assert min(waits) >= 30
    assert max(waits) <= 31
    assert len(waits) == 50


def test_a_provider_that_asks_for_an_hour_is_left_for_another() -> None:
    assert decided(RateLimitedError("429", retry_after_s=3600)).action is Action.ELSEWHERE


def test_a_wait_that_would_end_after_the_deadline_is_not_begun() -> None:
    error = RateLimitedError("429", retry_after_s=30)

    assert decided(error, time_left_s=20).action is Action.ELSEWHERE
    assert decided(error, elapsed_s=880).action is Action.ELSEWHERE
    assert decided(error, time_left_s=60).action is Action.AGAIN


def test_a_job_that_failed_uncharged_gets_one_more_try_here() -> None:
    error = JobFailedError("ended badly", charged_usd=Decimal(0))

    assert decided(error, attempt=1).action is Action.AGAIN
    assert decided(error, attempt=2, attempts_in_all=2).action is Action.ELSEWHERE


def test_a_paid_job_is_asked_for_until_its_deadline_and_nobody_else_is_paid_meanwhile() -> None:
    error = TransientError("HTTP 502 while polling")

    assert decided(error, phase=Phase.COLLECT, attempt=40, attempts_in_all=40, time_left_s=300).action is Action.AGAIN
    late = decided(error, phase=Phase.COLLECT, attempt=40, time_left_s=0)
    assert (late.action, late.code) == (Action.NO, ErrorCode.PROVIDER_TIMEOUT)
    assert decided(ProviderOffError("key revoked"), phase=Phase.COLLECT).action is Action.NO


def test_a_paid_job_that_ended_badly_frees_its_row() -> None:
    assert decided(JobFailedError("failed"), phase=Phase.COLLECT).action is Action.ELSEWHERE


def test_a_batch_is_halved_only_when_one_row_can_be_at_fault() -> None:
    assert decided_batch(RejectedItemError("422")).action is Action.HALVES
    for innocent in (TransientError("503"), OutOfCreditError("402"), ProviderOffError("401"), RateLimitedError("429")):
        assert decided_batch(innocent, attempt=3).action is not Action.HALVES
    assert decided_batch(InDoubtError("cut off")).action is Action.NO


def test_a_batch_of_one_is_decided_as_a_row() -> None:
    assert decided_batch(RejectedItemError("422"), rows=1).action is Action.ELSEWHERE


def test_a_batch_that_fails_again_while_others_are_served_is_suspected() -> None:
    error = TransientError("HTTP 500")

    assert decided_batch(error, attempt=1, provider_serves_others=True).action is Action.AGAIN
    assert decided_batch(error, attempt=2, provider_serves_others=True).action is Action.HALVES
    assert decided_batch(error, attempt=2, provider_serves_others=False).action is Action.AGAIN


def test_rows_of_a_batch_that_a_provider_fails_too_often_may_still_go_elsewhere() -> None:
    assert decided_batch(TransientError("HTTP 500"), attempt=9).action is Action.ELSEWHERE


def test_halving_finds_one_bad_row_among_fifty_in_few_requests_and_spares_the_others() -> None:
    bad, requests, served = 17, 0, set()
    queue = [tuple(range(50))]
    while queue:
        rows = queue.pop()
        requests += 1
        if bad not in rows:
            served.update(rows)
        elif decided_batch(RejectedItemError("422"), rows=len(rows)).action is Action.HALVES:
            queue += [rows[: len(rows) // 2], rows[len(rows) // 2 :]]

    assert served == set(range(50)) - {bad}
    assert requests <= 13


@pytest.mark.parametrize(
    ("error", "effect", "verdict"),
    [
        (TransientError("503"), Effect.NONE, Verdict.FAILED),
        (RateLimitedError("429", retry_after_s=9), Effect.PAUSE, Verdict.NOTHING),
        (OutOfCreditError("402"), Effect.PARK, Verdict.ALIVE),
        (ProviderOffError("401"), Effect.OFF, Verdict.NOTHING),
        (RejectedItemError("422"), Effect.NONE, Verdict.ALIVE),
        (JobFailedError("failed"), Effect.NONE, Verdict.ALIVE),
        (InDoubtError("cut off"), Effect.NONE, Verdict.FAILED),
    ],
)
def test_an_error_says_something_about_its_provider_too(error: ProviderError, effect: Effect, verdict: Verdict) -> None:
    found = consequence(error)

    assert (found.effect, found.verdict) == (effect, verdict)
    assert found.pause_s == (9 if effect is Effect.PAUSE else None)


def trial(provider: str, error: ProviderError, *, at: float = 0.0, alone: bool = True, healthy: bool = True) -> Trial:
    return Trial.of(error, provider=provider, at=at, alone=alone, provider_serves_others=healthy)


def test_a_row_is_poison_when_alone_it_brings_down_several_healthy_providers() -> None:
    broken = TransientError("HTTP 500")
    history = History().then(trial("maskr", broken)).then(trial("maskr", broken), leave=True)

    assert not history.poisonous(SETTINGS)
    assert history.then(trial("runflow", broken)).poisonous(SETTINGS)


@pytest.mark.parametrize(
    "innocent",
    [
        trial("runflow", TransientError("HTTP 500"), healthy=False),
        trial("runflow", TransientError("HTTP 500"), alone=False),
        trial("runflow", RateLimitedError("429")),
        trial("runflow", OutOfCreditError("402")),
    ],
)
def test_outages_neighbours_limits_and_empty_accounts_make_no_row_poison(innocent: Trial) -> None:
    broken = TransientError("HTTP 500")
    history = History().then(trial("maskr", broken)).then(trial("maskr", broken)).then(innocent)

    assert not history.poisonous(SETTINGS)


def test_a_history_tells_its_story_and_knows_whom_not_to_ask_again() -> None:
    history = History()
    for at in (100.0, 104.0):
        history = history.then(trial("maskr", TransientError("HTTP 500"), at=at))
    history = history.then(trial("runflow", RejectedItemError("input refused"), at=110.0), leave=True)

    assert history.story() == "maskr 2×: HTTP 500; runflow: input refused"
    assert history.given_up == {"runflow"}
    assert history.attempts_at("maskr") == 2
    assert history.elapsed_s(130.0) == 30.0
