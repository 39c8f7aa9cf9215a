"""What becomes of one row after one error."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from manifests.error_codes import ErrorCode
from tasks.config.routing import RetrySettings
from tasks.providers.errors import (
    InDoubtError,
    JobFailedError,
    OutOfCreditError,
    ProviderError,
    ProviderOffError,
    RateLimitedError,
    TransientError,
)


class Action(StrEnum):
    """What to do next. The driver's `match` is over these four."""

    NO = "no"  # final: write the outcome
    AGAIN = "again"  # the same provider, after `wait_s`
    ELSEWHERE = "elsewhere"  # route anew, without this provider
    HALVES = "halves"  # a batch only: send it as two


class Phase(StrEnum):
    """Where in the row's life the error came: it decides what a new try would cost."""

    PREPARE = "prepare"  # uploads: never charged
    SUBMIT = "submit"  # the one charged request
    COLLECT = "collect"  # polling and download: the job is paid, so nobody else is asked while it may yet come


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryDecision:
    """What to do next, and why: `reason` is the log line, `code` the row's error code if nothing better follows."""

    action: Action
    reason: str
    code: ErrorCode | None = None
    wait_s: float = 0.0  # from now, seconds

    @classmethod
    def no(cls, reason: str, code: ErrorCode) -> "RetryDecision":
        """It ends here."""
        return cls(action=Action.NO, reason=reason, code=code)

    @classmethod
    def after(cls, seconds: float, reason: str, code: ErrorCode | None = None) -> "RetryDecision":
        """The same provider again."""
        return cls(action=Action.AGAIN, reason=reason, code=code, wait_s=seconds)

    @classmethod
    def elsewhere(cls, reason: str, code: ErrorCode) -> "RetryDecision":
        """Another provider, if there is one; else `code` is the outcome's."""
        return cls(action=Action.ELSEWHERE, reason=reason, code=code)

    @classmethod
    def halves(cls, reason: str) -> "RetryDecision":
        """Two batches of half the size: one bad row must not sink its neighbours."""
        return cls(action=Action.HALVES, reason=reason)


def backoff_s(attempt: int, settings: RetrySettings, rng: Random) -> float:
    """A random wait after the attempt-th failure (1, 2 …): full jitter, so that a crowd does not come back as one.

    Uniform in [0, first_wait_s · 2^(attempt-1)], the upper end bounded by longest_wait_s. Full jitter beats equal and
    decorrelated jitter in calls made (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    ceiling = min(settings.longest_wait_s, settings.first_wait_s * 2.0 ** min(attempt - 1, 62))
    return rng.uniform(0.0, ceiling)


def decide(
    error: ProviderError,
    *,
    attempt: int,
    attempts_in_all: int,
    elapsed_s: float,
    settings: RetrySettings,
    rng: Random,
    phase: Phase = Phase.SUBMIT,
    time_left_s: float | None = None,
) -> RetryDecision:
    """What becomes of one row.

    Args:
        error: what the adapter raised.
        attempt: requests made for this row at this provider, this one included (1, 2 …); when collecting, polls that
            failed in a row.
        attempts_in_all: requests made for this row anywhere, this one included.
        elapsed_s: since the row's first request.
        settings: the bounds.
        rng: for the jitter.
        phase: where the error came.
        time_left_s: until the row's, the job's or the run's deadline, whichever is first; None: no deadline.
    """
    if isinstance(error, InDoubtError):
        return RetryDecision.no("it may have been charged, so it is not sent again", error.code)
    if phase is Phase.COLLECT:
        return _collecting(error, attempt, settings, rng, time_left_s)
    if attempts_in_all >= settings.attempts_in_all or elapsed_s >= settings.total_s:
        spent = f"{attempts_in_all} attempts in {elapsed_s:.0f} s are enough"
        return RetryDecision.no(f"{spent}: {error.message}", error.code)
    if isinstance(error, TransientError):
        left_s = settings.total_s - elapsed_s
        return _transient(error, attempt, settings, rng, left_s if time_left_s is None else min(left_s, time_left_s))
    if isinstance(error, JobFailedError) and error.charged_usd == 0 and attempt < settings.job_attempts:
        wait_s = backoff_s(attempt, settings, rng)
        return RetryDecision.after(wait_s, f"the job failed, uncharged: {error.message}", error.code)
    return RetryDecision.elsewhere(_why_elsewhere(error), error.code)


def _transient(
    error: TransientError, attempt: int, settings: RetrySettings, rng: Random, left_s: float
) -> RetryDecision:
    if attempt >= settings.attempts:
        return RetryDecision.elsewhere(f"{attempt} attempts here are enough: {error.message}", error.code)
    asked_s = (error.retry_after_s or 0.0) if isinstance(error, RateLimitedError) else 0.0
    if asked_s > settings.longest_retry_after_s:
        return RetryDecision.elsewhere(f"asked to wait {asked_s:.0f} s: {error.message}", error.code)
    wait_s = asked_s + backoff_s(attempt, settings, rng)
    if wait_s >= left_s:
        return RetryDecision.elsewhere(f"no time left to wait {wait_s:.1f} s: {error.message}", error.code)
    return RetryDecision.after(wait_s, f"attempt {attempt} of {settings.attempts}: {error.message}", error.code)


def _collecting(
    error: ProviderError, attempt: int, settings: RetrySettings, rng: Random, time_left_s: float | None
) -> RetryDecision:
    """A paid job is asked for until its deadline; only a job that ended badly frees the row."""
    if isinstance(error, TransientError):
        asked_s = (error.retry_after_s or 0.0) if isinstance(error, RateLimitedError) else 0.0
        wait_s = asked_s + backoff_s(attempt, settings, rng)
        if time_left_s is not None and wait_s >= time_left_s:
            return RetryDecision.no(f"not fetched in time: {error.message}", ErrorCode.PROVIDER_TIMEOUT)
        return RetryDecision.after(wait_s, f"asking again: {error.message}", error.code)
    if isinstance(error, ProviderOffError):
        return RetryDecision.no(f"the job is paid, but cannot be asked for: {error.message}", error.code)
    return RetryDecision.elsewhere(_why_elsewhere(error), error.code)


def _why_elsewhere(error: ProviderError) -> str:
    if isinstance(error, OutOfCreditError):
        return f"the account is empty: {error.message}"
    if isinstance(error, ProviderOffError):
        return f"the provider is off: {error.message}"
    if isinstance(error, JobFailedError) and error.charged_usd != 0:
        return f"the job failed and may be charged, so it is not paid here again: {error.message}"
    return f"not here: {error.message}"
