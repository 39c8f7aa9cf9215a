"""What becomes of a batch request that failed whole. Rows that failed inside an answered batch go by `decide`."""

from random import Random

from tasks.config.routing import RetrySettings
from tasks.providers.errors import ProviderError, RateLimitedError, RejectedItemError, TransientError
from tasks.retry_policy.decisions import Action, RetryDecision, decide


def decide_batch(
    error: ProviderError,
    *,
    rows: int,
    attempt: int,
    elapsed_s: float,
    settings: RetrySettings,
    rng: Random,
    provider_serves_others: bool,
    time_left_s: float | None = None,
) -> RetryDecision:
    """Again, in halves, elsewhere or no. HALVES only where the error can be one row's fault.

    That is so when the request as such was refused (400, 413, 422), and when a passing error comes back with the same
    rows while the provider serves others: a picture that brings the vendor's worker down looks like an outage.

    Args:
        error: what `submit_batch` raised.
        rows: in the batch. A batch of one is decided as a row.
        attempt: times that these rows have failed together, this one included. Halves keep the count of their whole,
            so that once suspected, a batch is halved at each failure.
        elapsed_s: since the first of these.
        settings: the bounds.
        rng: for the jitter.
        provider_serves_others: other requests succeeded there since this batch first failed.
        time_left_s: until the run's deadline; None: no deadline.
    """
    if rows > 1 and isinstance(error, RejectedItemError):
        return RetryDecision.halves(f"one of {rows} rows may be at fault: {error.message}")
    passing = isinstance(error, TransientError) and not isinstance(error, RateLimitedError)
    if rows > 1 and passing and provider_serves_others and attempt >= settings.whole_batch_attempts:
        return RetryDecision.halves(f"failed {attempt} times while others were served: {error.message}")
    decision = decide(
        error,
        attempt=attempt,
        attempts_in_all=attempt,
        elapsed_s=elapsed_s,
        settings=settings,
        rng=rng,
        time_left_s=time_left_s,
    )
    spent = decision.action is Action.NO and isinstance(error, TransientError)
    return RetryDecision.elsewhere(decision.reason, error.code) if spent else decision
