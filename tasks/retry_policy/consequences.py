"""What an error says about the provider itself, whoever's row it was."""

from dataclasses import dataclass
from enum import StrEnum

from tasks.providers.errors import (
    JobFailedError,
    OutOfCreditError,
    ProviderError,
    ProviderOffError,
    RateLimitedError,
    RejectedItemError,
)


class Effect(StrEnum):
    """On the account at this provider."""

    NONE = "none"
    PAUSE = "pause"  # every request waits `pause_s`: the ledger moves the tickets
    PARK = "park"  # out of credits: parked until a top-up or a re-check
    OFF = "off"  # serves nobody in this run


class Verdict(StrEnum):
    """What the circuit breaker is told."""

    ALIVE = "alive"  # it answered, and sensibly
    FAILED = "failed"
    NOTHING = "nothing"  # says nothing about its health


@dataclass(frozen=True, kw_only=True, slots=True)
class Consequence:
    """What to do about the provider, beside the row."""

    effect: Effect
    verdict: Verdict
    pause_s: float | None = None  # with PAUSE; None: the provider did not say how long


def consequence(error: ProviderError) -> Consequence:
    """By the kind of the error alone."""
    match error:
        case RateLimitedError():
            return Consequence(effect=Effect.PAUSE, verdict=Verdict.NOTHING, pause_s=error.retry_after_s)
        case OutOfCreditError():
            return Consequence(effect=Effect.PARK, verdict=Verdict.ALIVE)
        case ProviderOffError():
            return Consequence(effect=Effect.OFF, verdict=Verdict.NOTHING)
        case RejectedItemError():
            return Consequence(effect=Effect.NONE, verdict=Verdict.ALIVE)
        case JobFailedError():
            # The service took the job and told its end: a poor picture, not an outage.
            return Consequence(effect=Effect.NONE, verdict=Verdict.ALIVE)
        case _:  # transient, in doubt, or an answer that fits no document
            return Consequence(effect=Effect.NONE, verdict=Verdict.FAILED)
