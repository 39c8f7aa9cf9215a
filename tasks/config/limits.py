"""Rate limits and durations as people write them: `60/min`, `4/s`, `60/6s`, `20MP/min`; `90s`, `30m`, `2h`, `1d`."""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

_SECONDS: Final = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_LIMIT: Final = re.compile(r"(?P<amount>\d+)\s*(?P<unit>MP)?\s*/\s*(?P<number>\d+(\.\d+)?)?\s*(?P<period>[a-z]+)")
_DURATION: Final = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<period>[a-z]*)")


class LimitUnit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    MEGAPIXELS = "megapixels"


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """At most `amount` units started in any window of `period_s` seconds."""

    amount: int
    period_s: float
    unit: LimitUnit = LimitUnit.REQUESTS

    @classmethod
    def parse(cls, text: str) -> "RateLimit":
        """`60/min`, `4/s`, `60/6s`, `20MP/min` → RateLimit. ValueError says what was expected."""
        found = _LIMIT.fullmatch(text.strip())
        if not found or found["period"] not in _SECONDS or int(found["amount"]) < 1:
            raise ValueError(f"'{text}' is no rate limit: write it as 60/min, 4/s, 60/6s or 20MP/min")
        period_s = float(found["number"] or 1) * _SECONDS[found["period"]]
        unit = LimitUnit.MEGAPIXELS if found["unit"] else LimitUnit.REQUESTS
        return cls(amount=int(found["amount"]), period_s=period_s, unit=unit)

    @property
    def per_second(self) -> float:
        """The sustained rate, units a second."""
        return self.amount / self.period_s

    def __str__(self) -> str:
        """As `parse` takes it."""
        period = {1.0: "s", 60.0: "min", 3600.0: "h"}.get(self.period_s, f"{self.period_s:g}s")
        return f"{self.amount}{'MP' if self.unit is LimitUnit.MEGAPIXELS else ''}/{period}"


def parse_duration_s(text: str | float) -> float:
    """`90`, `90s`, `30m`, `2h`, `1d` → seconds. ValueError says what was expected."""
    found = _DURATION.fullmatch(str(text).strip())
    if not found or (found["period"] or "s") not in _SECONDS:
        raise ValueError(f"'{text}' is no duration: write it as 90s, 30m, 2h or 1d")
    return float(Decimal(found["number"]) * _SECONDS[found["period"] or "s"])
