"""How far a run has come: counted as outcomes become final, read by the terminal, the artifacts and the dashboard."""

import threading
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from manifests.outcomes import Outcome, State


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressSnapshot:
    """One moment of a run. Rows; US dollars; seconds."""

    total: int
    by_state: dict[State, int]
    reused: int
    cost_usd: Decimal
    elapsed_s: float

    @property
    def done(self) -> int:
        """Rows with an outcome in this run so far."""
        return sum(self.by_state.values())

    @property
    def rows_per_s(self) -> float:
        """Since the start."""
        return self.done / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """At the rate so far; None before anything is known."""
        return (self.total - self.done) / self.rows_per_s if self.rows_per_s else None


class Progress:
    """Thread-safe counters of one run in this process. A row taken up again in a later pass is counted by its newest outcome."""

    def __init__(self, *, total: int, started: float) -> None:
        """`started`: of the same monotonic clock as `snapshot`'s `now`, seconds."""
        self._lock = threading.Lock()
        self._total = total
        self._started = started
        self._states: Counter[State] = Counter()
        self._reused = 0
        self._cost = Decimal(0)

    def add(self, outcome: Outcome, *, instead_of: State | None = None) -> None:
        """Count a final outcome; `instead_of`: the state that an earlier pass had counted for the row."""
        with self._lock:
            if instead_of is not None and self._states[instead_of] > 0:
                self._states[instead_of] -= 1
            self._states[outcome.state] += 1
            self._reused += outcome.reused
            self._cost += outcome.cost_usd

    def add_known(self, rows: int, *, reused: int) -> None:
        """Count rows that had succeeded before, without any work now."""
        with self._lock:
            self._states[State.SUCCEEDED] += rows
            self._reused += reused

    def snapshot(self, now: float) -> ProgressSnapshot:
        """The counters at this moment."""
        with self._lock:
            states = {state: count for state, count in self._states.items() if count}
            return ProgressSnapshot(
                total=self._total,
                by_state=states,
                reused=self._reused,
                cost_usd=self._cost,
                elapsed_s=now - self._started,
            )
