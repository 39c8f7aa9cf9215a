"""How much one provider can do within a time, and when it is done with so much: rows in, seconds out, and back."""

from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import ceil, floor, inf

from tasks.routing.pace import GRAIN_S, Pace
from tasks.routing.views import ProviderView

MOST_FAILING = 0.95  # of requests: a provider that fails nearly always is still planned with a finite number of tries
MOST_SIMULATED = 20_000  # requests; above, the flow's average tells the finish as well as a simulation does


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """One provider's two endpoints as the planner sees them. Times are seconds from the plan's start."""

    single: Pace
    single_latency_s: float
    batch: Pace | None
    batch_latency_s: float
    at_once: int | None  # in flight over both endpoints, where that can bind both together
    tries: float  # requests for one row, on average
    singles_ahead: int = 0  # of rows that wait there already
    batches_ahead: int = 0

    @classmethod
    def of(cls, view: ProviderView, *, held_s: float = 0.0) -> "Capacity":
        """`held_s`: nothing starts before (parked, or its breaker is open)."""

        def pace(endpoint_pace: Pace, latency_s: float) -> Pace:
            bounded = endpoint_pace.within(at_once=view.max_in_flight, in_flight=view.in_flight, latency_s=latency_s)
            return replace(bounded, hold_s=max(bounded.hold_s, held_s))

        batch_latency_s = view.batch.latency_s if view.batch else 0.0
        return cls(
            single=pace(view.single.pace, view.single.latency_s),
            single_latency_s=view.single.latency_s,
            batch=pace(view.batch.pace, batch_latency_s) if view.batch else None,
            batch_latency_s=batch_latency_s,
            at_once=view.max_in_flight if view.batch and _can_crowd(view) else None,
            tries=1.0 / (1.0 - min(view.failure_share, MOST_FAILING)),
            singles_ahead=0 if view.batch else view.waiting,
            batches_ahead=ceil(view.waiting / view.batch_size) if view.batch else 0,
        )

    def singles(self, within_s: float) -> float:
        """Rows that the single endpoint can have done; inf where nothing limits it."""
        starts = self.single.startable(within_s - self.single_latency_s)
        return _whole(max(0, starts / self.tries - self.singles_ahead))

    def batches(self, within_s: float) -> float:
        """Batches' worth of rows that the batch endpoint can have done."""
        if self.batch is None:
            return 0
        starts = self.batch.startable(within_s - self.batch_latency_s)
        return _whole(max(0, starts / self.tries - self.batches_ahead))

    def finish_s(self, singles: int, batches: int) -> float:
        """When so many rows sent singly and so many batches are done, behind those that wait already."""
        singles, batches = self._requests(singles, self.singles_ahead), self._requests(batches, self.batches_ahead)
        done = 0.0
        if singles:
            done = self.single.start_in_s(singles - 1) + self.single_latency_s
        if batches and self.batch is not None:
            done = max(done, self.batch.start_in_s(batches - 1) + self.batch_latency_s)
        if self.at_once is None or not (singles and batches):
            return done
        return max(done, self._crowded_finish_s(singles, batches, self.at_once))

    def _requests(self, new: int, ahead: int) -> int:
        return ceil((new + ahead) * self.tries - GRAIN_S) if new else 0

    def _crowded_finish_s(self, singles: int, batches: int, at_once: int) -> float:
        """Both endpoints share the places in flight."""
        if self.batch is None or singles + batches > MOST_SIMULATED:
            work_s = singles * self.single_latency_s + batches * self.batch_latency_s
            return work_s / at_once + max(self.single.hold_s, 0.0)
        free_at = [0.0] * at_once
        done = {True: 0, False: 0}
        last = 0.0
        while done[True] < batches or done[False] < singles:
            batch_s = self.batch.start_in_s(done[True]) if done[True] < batches else inf
            single_s = self.single.start_in_s(done[False]) if done[False] < singles else inf
            place_s = heappop(free_at)
            is_batch = max(batch_s, place_s) <= max(single_s, place_s)
            latency_s = self.batch_latency_s if is_batch else self.single_latency_s
            end_s = max(batch_s if is_batch else single_s, place_s) + latency_s
            done[is_batch] += 1
            heappush(free_at, end_s)
            last = max(last, end_s)
        return last


def _can_crowd(view: ProviderView) -> bool:
    """Whether requests of both endpoints can fill the places in flight together."""
    if view.max_in_flight is None or view.batch is None:
        return False
    singles = view.single.pace.startable(view.single.latency_s)
    return singles + view.batch.pace.startable(view.batch.latency_s) > view.max_in_flight


def _whole(amount: float) -> float:
    return amount if amount == inf else floor(amount + GRAIN_S)
