"""Rate limits as a vendor keeps them: true sliding windows over the arrival times of requests."""

import re
from bisect import bisect_right
from dataclasses import dataclass

_PERIOD_S = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0}
LATEST_S = 60  # by which a request may be decided on later than one that came after it
_LIMIT = re.compile(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """At most `amount` requests in any `period_s` seconds."""

    amount: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """`60/min`, `4/s`, `60/6s` → Limit. ValueError says what was expected."""
        found = _LIMIT.fullmatch(text)
        if not found or found[3] not in _PERIOD_S or int(found[1]) < 1 or float(found[2] or 1) <= 0:
            raise ValueError(f"'{text}' is no rate limit: write it as 60/min, 4/s or 60/6s")
        return cls(amount=int(found[1]), period_s=float(found[2] or 1) * _PERIOD_S[found[3]])

    def __str__(self) -> str:
        """As `parse` takes it."""
        names = {1.0: "s", 60.0: "min", 3600.0: "h"}
        return f"{self.amount}/{names.get(self.period_s, f'{self.period_s:g}s')}"


class SlidingWindow:
    """The admitted arrivals of one account at one endpoint. A refused request takes no place.

    Arrivals may be presented out of order: a request with a long body is decided on after one that came later.
    """

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = limits
        self._admitted: list[float] = []  # seconds, ascending
        self._memory_s = 2 * max((limit.period_s for limit in limits), default=0.0) + LATEST_S

    def __len__(self) -> int:
        """Arrivals still remembered."""
        return len(self._admitted)

    def admit(self, arrived_s: float) -> float | None:
        """None: admitted, and counted. Otherwise the seconds until a place is free again."""
        if not self.limits:
            return None
        place = bisect_right(self._admitted, arrived_s)
        self._admitted.insert(place, arrived_s)
        broken = [limit for limit in self.limits if self._breaks(limit, place)]
        if not broken:
            self._forget()
            return None
        del self._admitted[place]
        return max(self._admitted[-limit.amount] + limit.period_s - arrived_s for limit in broken)

    def _breaks(self, limit: Limit, place: int) -> bool:
        """Whether some window about this place holds one too many.

        Windows are half open: a request exactly one period after another does not share a window with it.
        """
        times = self._admitted
        starts = range(max(0, place - limit.amount), min(place, len(times) - 1 - limit.amount) + 1)
        return any(times[start + limit.amount] - times[start] < limit.period_s for start in starts)

    def _forget(self) -> None:
        if self._admitted[-1] - self._admitted[0] > 2 * self._memory_s:
            del self._admitted[: bisect_right(self._admitted, self._admitted[-1] - self._memory_s)]
