"""The ledger's answers to the dashboard: read through the ledger's own interface, from a loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Self, TypeVar

from tasks.credits import BalanceLine, Ledger, LedgerError, PastAttempt
from tasks.report.dashboard.ledger_facts import AttemptFacts, ProviderBalance, SpendFacts

T = TypeVar("T")
_PATIENCE_S: Final = 3.0  # a page is shown without the ledger rather than late


class LedgerBook:
    """Implements `LedgerFacts`. A ledger that does not answer in time knows nothing for this page."""

    def __init__(self, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._ledger, self._loop = ledger, loop

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the books at a ledger URL. LedgerError when that cannot be."""
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True, name="dashboard-ledger").start()
        opening = asyncio.run_coroutine_threadsafe(Ledger.open(url, patience_s=_PATIENCE_S), loop)
        return cls(opening.result(), loop)

    def balances(self) -> Sequence[ProviderBalance]:
        """Every account, by provider."""
        return [_balance(line) for line in self._ask(self._ledger.balances(), [])]

    def spend(self) -> Sequence[SpendFacts]:
        """Every charge, added up by day, run and provider."""
        lines = self._ask(self._ledger.statement(), [])
        return [
            SpendFacts(day=one.day, run_id=one.run_id, provider=one.provider, credits=one.credits, usd=one.usd)
            for one in lines
        ]

    def attempts(self, run_id: str, item_id: str, content_key: str | None) -> Sequence[AttemptFacts]:
        """The requests made for one item in one run, oldest first."""
        if content_key is None:
            return []
        found = self._ask(self._ledger.attempts_of([content_key]), [])
        mine = (one for one in found if (one.run_id, one.item_id) == (run_id, item_id))
        return [_attempt(one) for one in sorted(mine, key=lambda one: one.reserved_at)]

    def close(self) -> None:
        """Say goodbye to the ledger."""
        self._ask(self._ledger.aclose(), None)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _ask(self, question: Coroutine[Any, Any, T], otherwise: T) -> T:
        asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(_PATIENCE_S)
        except (LedgerError, TimeoutError):
            asked.cancel()
            return otherwise


def _balance(line: BalanceLine) -> ProviderBalance:
    return ProviderBalance(
        provider=line.provider,
        credits=None if line.credits is None else line.credits - line.credits_held,
        usd=None if line.usd is None else line.usd - line.usd_held,
        parked_until=line.next_try_at if line.parked_reason else None,
        parked_reason=line.parked_reason,
    )


def _attempt(one: PastAttempt) -> AttemptFacts:
    return AttemptFacts(
        attempt_key=one.attempt_key,
        provider=one.provider,
        state=str(one.state),
        reserved_at=one.reserved_at,
        remote_id=one.remote_id,
        credits=one.credits,
        cost_usd=one.usd,
        message=one.note,
    )
