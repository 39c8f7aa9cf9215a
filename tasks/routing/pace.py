"""When the next requests of an endpoint may start: exact sliding windows, and a forecast from them.

A sliding window of N per P is N tickets, each good once in P. Untouched it starts full: N starts at once, N more after P.
With several windows, the k-th start (k = 0, 1 …) comes at s(k) = max over i of s(k - N_i) + P_i: an unbounded knapsack of
weights N_i and values P_i, which has a short exact solution for the few limits that an account has. "At most F in
flight", each request taking L seconds, is one more window: F per L.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf

from tasks.config.limits import LimitUnit, RateLimit

GRAIN_S = 1e-6  # times that differ by less are one: sums of periods such as 0.1 s are not exact


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One limit and its tickets: each start takes one, and brings it back a period later."""

    amount: int  # starts in any period
    period_s: float
    used: tuple[float, ...] = ()  # the last starts, at most `amount`, oldest first; seconds on the clock of `now`
    now: float = 0.0

    def start_in_s(self, nth: int) -> float:
        """Seconds from now until the nth start (0, 1 …) may happen, by this limit alone."""
        periods, ticket = divmod(nth, self.amount)
        never_used = self.amount - len(self.used)
        back_s = 0.0 if ticket < never_used else self.used[ticket - never_used] + self.period_s - self.now
        return max(0.0, back_s) + periods * self.period_s

    def startable(self, within_s: float) -> int:
        """How many starts there may be within so many seconds, by this limit alone."""
        if within_s < -GRAIN_S:
            return 0
        periods, rest_s = divmod(within_s + GRAIN_S, self.period_s)
        back = bisect_right(self.used, self.now + rest_s - self.period_s)
        return int(periods) * self.amount + self.amount - len(self.used) + back


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """All limits of one endpoint together. No window: no limit is known."""

    windows: tuple[Window, ...] = ()
    hold_s: float = 0.0  # nothing starts before: Retry-After, or what the ledger answered

    @classmethod
    def fresh(cls, limits: Iterable[RateLimit], *, megapixels: float = 1.0) -> "Pace":
        """Untouched limits. `megapixels`: of a typical request, for limits that count them."""
        return cls(windows=tuple(_window(limit, megapixels) for limit in limits))

    def within(self, *, at_once: int | None, in_flight: int, latency_s: float) -> "Pace":
        """With the bound on requests in flight. Those under way are taken to end one after the other, evenly spread."""
        if at_once is None or latency_s <= 0:
            return self
        return replace(self, windows=(*self.windows, _places(at_once, min(in_flight, at_once), latency_s)))

    def start_in_s(self, nth: int = 0) -> float:
        """Seconds from now until the nth start (0, 1 …) may happen."""
        alone_s = max((window.start_in_s(nth) for window in self.windows), default=0.0)
        return self.hold_s + max(alone_s, _latest(_binding(self.windows), nth))

    def startable(self, within_s: float = 0.0) -> float:
        """How many requests may start within so many seconds; inf where nothing limits them."""
        left_s = within_s - self.hold_s
        if left_s < -GRAIN_S:
            return 0
        alone = min((window.startable(left_s) for window in self.windows), default=inf)
        return min(alone, _fewest(_binding(self.windows), left_s))

    @property
    def per_second(self) -> float:
        """The sustained rate, requests a second; inf where nothing limits them."""
        return min((window.amount / window.period_s for window in self.windows), default=inf)


class StartLog:
    """The starts of one endpoint that this process knows of: what pace it has now.

    For forecasts, and wherever one process alone uses an account. Across processes the ledger alone knows; its answer
    becomes `hold_s`.
    """

    def __init__(self, limits: Iterable[RateLimit], *, megapixels: float = 1.0) -> None:
        self._limits = [_window(limit, megapixels) for limit in limits]
        self._longest = max((window.amount for window in self._limits), default=1)
        self._starts: tuple[float, ...] = ()

    def started(self, at: float) -> None:
        """One request started, on the same clock as `pace`; in order."""
        self._starts = (*self._starts[-self._longest + 1 :], at) if self._longest > 1 else (at,)

    def pace(self, now: float, *, hold_until: float = 0.0) -> Pace:
        """What may start from `now` on."""
        windows = tuple(replace(window, used=self._starts[-window.amount :], now=now) for window in self._limits)
        return Pace(windows=windows, hold_s=max(0.0, hold_until - now))

    def next_start(self, now: float) -> float:
        """The earliest time at which one more request keeps every limit, exactly."""
        full = (window for window in self._limits if len(self._starts) >= window.amount)
        return max((now, *(self._starts[-window.amount] + window.period_s for window in full)))


@lru_cache(maxsize=4096)
def _places(at_once: int, taken: int, latency_s: float) -> Window:
    used = tuple((place + 1) * latency_s / taken - latency_s for place in range(taken))
    return Window(amount=at_once, period_s=latency_s, used=used)


def _window(limit: RateLimit, megapixels: float) -> Window:
    amount = limit.amount
    if limit.unit is LimitUnit.MEGAPIXELS:
        amount = max(1, int(limit.amount / megapixels))  # a picture above the whole limit goes alone
    return Window(amount=amount, period_s=limit.period_s)


def _binding(windows: Sequence[Window]) -> list[Window]:
    """Those that can matter together, slowest first. One alone is solved by itself; so is a wider and quicker one."""
    slowest_first = sorted(windows, key=lambda window: (window.amount / window.period_s, window.amount))
    kept: list[Window] = []
    for window in slowest_first:
        if all(window.amount < other.amount or window.period_s > other.period_s for other in kept):
            kept.append(window)
    return kept if len(kept) > 1 else []


def _latest(windows: Sequence[Window], nth: int) -> float:
    """The start of the nth of untouched windows: the dearest knapsack within weight `nth`, seconds.

    Of the windows behind the first no more than (its amount - 1) are ever needed: among as many as its amount there are
    some whose weights add up to a multiple of it, and in their place it is worth no less.
    """
    if not windows:
        return 0.0
    if len(windows) == 1:
        return nth // windows[0].amount * windows[0].period_s
    *others, last = windows
    most = min(windows[0].amount - 1, nth // last.amount)
    return max(count * last.period_s + _latest(others, nth - count * last.amount) for count in range(most + 1))


def _fewest(windows: Sequence[Window], within_s: float) -> float:
    """How many starts of untouched windows come within so many seconds: the lightest knapsack worth more than that."""
    if not windows:
        return inf
    if within_s < -GRAIN_S:
        return 0
    first = windows[0]
    if len(windows) == 1:
        return first.amount * (int((within_s + GRAIN_S) // first.period_s) + 1)
    *others, last = windows
    best = _fewest(others, within_s)
    for count in range(1, first.amount):
        if count * last.amount >= best:
            break
        best = min(best, count * last.amount + _fewest(others, within_s - count * last.period_s))
    return best
