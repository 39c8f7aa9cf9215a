"""Why the ledger says no, and what may be done next. No SQL type leaves this package.

LedgerError
├── Refusal            a value to act on: `reason`, `retry_at`
├── LedgerUnavailable  the database does not answer; nothing was booked
└── LedgerMisuse       a defect of the caller, such as settling what was never reserved
"""

from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why a spend was refused."""

    OUT_OF_CREDITS = "out_of_credits"
    BUDGET_REACHED = "budget_reached"
    PARKED = "parked"
    IN_FLIGHT_ELSEWHERE = "in_flight_elsewhere"  # the same content is being paid for by an attempt under way
    IN_DOUBT = "in_doubt"  # the same content may have been paid for: the user's word is needed
    ALREADY_DELIVERED = "already_delivered"
    DEADLINE = "deadline"  # no permit before the deadline


class LedgerError(Exception):
    """Something with the books."""


class Refusal(LedgerError):  # noqa: N818 - it is a value that happens to be raised; "RefusalError" would say it is a fault
    """Not now. Nothing was taken."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retry_at: datetime | None = None,
        affordable: int = 0,
        attempt_keys: tuple[str, ...] = (),
        detail: str | None = None,
    ) -> None:
        """Say which of them is missing and when to ask again.

        Args:
            reason: for control.
            message: for people.
            retry_at: when asking again makes sense; None: not before something changes.
            affordable: of the spend's attempts, in order, how many the money would have covered.
            attempt_keys: those of the spend that stand in the way (content in flight, in doubt or delivered); the others may be asked for again.
            detail: why the account is parked.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_at = retry_at
        self.affordable = affordable
        self.attempt_keys = attempt_keys
        self.detail = detail


class LedgerUnavailable(LedgerError):  # noqa: N818 - names the state, as the tree in the docstring does
    """The database could not be reached or written, for longer than the ledger is patient."""


class LedgerMisuse(LedgerError):  # noqa: N818 - names the state, as the tree in the docstring does
    """The caller asked for what makes no sense; nothing was booked."""
