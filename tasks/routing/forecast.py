"""When the run will end, and when credits or budget will, from what was measured lately. The clock is passed in."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil, inf
from typing import Final

from tasks.routing.views import ProviderView
from tasks.routing.work import Price

WINDOW_S: Final = 180.0
"""Looked back upon: three of the usual one-minute windows, so that the burst at the start of each evens out."""

_NOTHING: Final = Price()


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What happens if all goes on as it does. Times are seconds since the epoch; None: not in sight."""

    rows_per_s: float
    ends_at: float | None
    credits_end_at: Mapping[str, float]  # by provider, only those that end before the run does
    budget_ends_at: float | None  # only when it ends before the run does


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    at: float
    provider: str
    rows: int
    paid: Price


@dataclass(kw_only=True, slots=True)
class Meter:
    """Rows, money and credits of the last minutes."""

    started: float  # seconds since the epoch
    window_s: float = WINDOW_S
    _notes: deque[_Note] = field(default_factory=deque)

    def note(self, now: float, provider: str, *, rows: int = 1, paid: Price = _NOTHING) -> None:
        """Rows that are done, and what they cost together."""
        self._notes.append(_Note(at=now, provider=provider, rows=rows, paid=paid))
        self._forget(now)

    def rows_per_s(self, now: float) -> float:
        """Over the last minutes."""
        self._forget(now)
        return sum(note.rows for note in self._notes) / self._span_s(now)

    def usd_per_s(self, now: float) -> float:
        """Over the last minutes, US dollars a second."""
        self._forget(now)
        return float(sum((note.paid.usd for note in self._notes), Decimal(0))) / self._span_s(now)

    def credits_per_s(self, now: float) -> Mapping[str, float]:
        """Over the last minutes, by provider."""
        self._forget(now)
        spent: dict[str, Decimal] = defaultdict(Decimal)
        for note in self._notes:
            spent[note.provider] += note.paid.credits
        return {provider: float(amount) / self._span_s(now) for provider, amount in spent.items()}

    def _span_s(self, now: float) -> float:
        return max(1.0, min(self.window_s, now - self.started))

    def _forget(self, now: float) -> None:
        while self._notes and self._notes[0].at <= now - self.window_s:
            self._notes.popleft()


def forecast(
    meter: Meter,
    *,
    now: float,
    rows_left: int,
    credits_left: Mapping[str, Decimal | None],
    budget_left: Decimal | None = None,
) -> Forecast:
    """Where the run is heading. `credits_left` by provider; None: unknown."""
    rate = meter.rows_per_s(now)
    ends_at = now if rows_left <= 0 else now + rows_left / rate if rate > 0 else None
    credit_ends = {
        provider: now + float(left) / spending
        for provider, spending in meter.credits_per_s(now).items()
        if spending > 0 and (left := credits_left.get(provider)) is not None
    }
    usd_per_s = meter.usd_per_s(now)
    budget_at = None if budget_left is None or usd_per_s <= 0 else now + float(budget_left) / usd_per_s
    horizon = inf if ends_at is None else ends_at
    return Forecast(
        rows_per_s=rate,
        ends_at=ends_at,
        credits_end_at={provider: at for provider, at in credit_ends.items() if at < horizon},
        budget_ends_at=budget_at if budget_at is not None and budget_at < horizon else None,
    )


def rows_to_keep_open(views: Sequence[ProviderView]) -> int:
    """How many rows must be under way at once so that no limit goes unused: rate times latency (Little's law), and a burst.

    0 when nothing limits the providers. A driver that keeps fewer open leaves tickets unused: Maskr's 30 batches of 50 a
    minute at 30 s each are 750 rows in flight, 1,500 when the minute's tickets are all taken at its start.
    """
    return sum(_open_rows(view) for view in views)


def _open_rows(view: ProviderView) -> int:
    rows = _burst(view.single.pace.startable(view.single.latency_s), view.max_in_flight)
    if view.batch is not None:
        rows += view.batch_size * _burst(view.batch.pace.startable(view.batch.latency_s), view.max_in_flight)
    return rows


def _burst(starts: float, at_once: int | None) -> int:
    most = starts if at_once is None else min(starts, at_once)
    return 0 if most == inf else ceil(most)
