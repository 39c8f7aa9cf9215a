"""What one row went through: the ground of its decisions, and the story that its outcome tells."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from manifests.error_codes import ErrorCode
from tasks.config.routing import RetrySettings
from tasks.providers.errors import JobFailedError, ProviderError, RateLimitedError, TransientError


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One request that did not work out."""

    provider: str
    at: float  # when the request left, seconds since the epoch
    code: ErrorCode
    message: str
    alone: bool  # not in a batch with others
    suspicious: bool  # the provider failed, while it served others: the row itself may be why

    @classmethod
    def of(
        cls, error: ProviderError, *, provider: str, at: float, alone: bool, provider_serves_others: bool
    ) -> "Trial":
        """What happened, from what the adapter raised."""
        failed = isinstance(error, TransientError | JobFailedError) and not isinstance(error, RateLimitedError)
        return cls(
            provider=provider,
            at=at,
            code=error.code,
            message=error.message,
            alone=alone,
            suspicious=failed and provider_serves_others,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The trials of one row in this run, oldest first."""

    trials: tuple[Trial, ...] = ()
    given_up: frozenset[str] = frozenset()  # providers that are not asked again for this row

    def then(self, trial: Trial, *, leave: bool = False) -> "History":
        """With one more trial; `leave`: and its provider is not asked again (Action.ELSEWHERE)."""
        given_up = self.given_up | {trial.provider} if leave else self.given_up
        return replace(self, trials=(*self.trials, trial), given_up=given_up)

    def attempts_at(self, provider: str) -> int:
        """Requests made at one provider."""
        return sum(trial.provider == provider for trial in self.trials)

    def elapsed_s(self, now: float) -> float:
        """Since the first request; `now` in seconds since the epoch."""
        return now - self.trials[0].at if self.trials else 0.0

    def poisonous(self, settings: RetrySettings) -> bool:
        """Quarantine: this row, alone, failed again and again at more than one provider that served others meanwhile.

        At one provider alone it may be the two that do not suit each other: that one is left by the usual bounds.
        """
        guilty = [trial.provider for trial in self.trials if trial.alone and trial.suspicious]
        return len(guilty) >= settings.poison_failures and len(set(guilty)) > 1

    def story(self) -> str:
        """For `error_message`: `maskr 3×: HTTP 500; runflow: input refused`."""
        return "; ".join(_tell(provider, message, trials) for (provider, message), trials in self._runs())

    def _runs(self) -> Iterable[tuple[tuple[str, str], Iterable[Trial]]]:
        return groupby(self.trials, key=lambda trial: (trial.provider, trial.message))


def _tell(provider: str, message: str, trials: Iterable[Trial]) -> str:
    times = sum(1 for _ in trials)
    return f"{provider} {times}×: {message}" if times > 1 else f"{provider}: {message}"
