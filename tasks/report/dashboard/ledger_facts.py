"""What the dashboard shows beyond results: facts of the ledger, as a seam that whoever starts it fills; and a run under way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderBalance:
    """What is left at one provider. None: unknown, or not counted in that unit."""

    provider: str
    credits: Decimal | None = None
    usd: Decimal | None = None
    parked_until: datetime | None = None  # UTC; the provider takes no work before
    parked_reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptFacts:
    """One request for one item at one provider."""

    attempt_key: str
    provider: str
    state: str  # the ledger's word: reserved, sent, accepted, settled, released, in_doubt
    reserved_at: datetime  # UTC
    finished_at: datetime | None = None
    remote_id: str | None = None
    credits: Decimal | None = None
    cost_usd: Decimal | None = None
    message: str | None = None  # why it ended as it did


@dataclass(frozen=True, kw_only=True, slots=True)
class SpendFacts:
    """What one run was charged by one provider on one day (UTC)."""

    day: date
    run_id: str
    provider: str
    credits: Decimal
    usd: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveRun:
    """How a run stands that is under way."""

    run_id: str
    items: int | None  # None: not counted yet
    done: int  # final facts so far
    delivered: int
    items_per_min: float | None = None
    finishes_at: datetime | None = None  # UTC, at the present rate
    spent_usd: Decimal = Decimal(0)
    budget_usd: Decimal | None = None
    last_at: datetime | None = None  # UTC, of the newest outcome


class LedgerFacts(Protocol):
    """Answers from the ledger; each call is short and raises nothing for an unknown run or item."""

    def balances(self) -> Sequence[ProviderBalance]:
        """Every account, by provider."""
        ...

    def spend(self) -> Sequence[SpendFacts]:
        """Every charge, added up; empty: not known, and counted from results instead."""
        ...

    def attempts(self, run_id: str, item_id: str, content_key: str | None) -> Sequence[AttemptFacts]:
        """The requests made for one item in one run, oldest first; `content_key`: as the results have it."""
        ...


class NoLedger:
    """Used where no ledger is at hand: results alone."""

    def balances(self) -> Sequence[ProviderBalance]:
        """None known."""
        return ()

    def spend(self) -> Sequence[SpendFacts]:
        """None known."""
        return ()

    def attempts(self, run_id: str, item_id: str, content_key: str | None) -> Sequence[AttemptFacts]:  # noqa: ARG002 - the protocol's names
        """None known."""
        return ()
