"""Exact sliding windows, as arithmetic: given the starts so far, when may the next one be?"""

from collections.abc import Sequence
from typing import Final

from tasks.config.limits import LimitUnit, RateLimit

ANY_TIME: Final = float("-inf")

Start = tuple[float, float]
"""One start that counts: when (POSIX seconds), and how many megapixels."""


def next_start(starts: Sequence[Start], limit: RateLimit, *, megapixels: float, guard_s: float) -> float:
    """The earliest moment at which one more start keeps `limit`, or ANY_TIME.

    `starts` are in order of time and may lie in the future; the new one is placed behind as many of them as the limit
    asks for, which keeps every window, also those that end at a later start. A request larger than the whole limit takes
    the window for itself.
    """
    if limit.unit is LimitUnit.REQUESTS:
        return starts[-limit.amount][0] + limit.period_s + guard_s if len(starts) >= limit.amount else ANY_TIME
    used = min(megapixels, limit.amount)
    for at, size in reversed(starts):
        used += size
        if used > limit.amount + 1e-9:
            return at + limit.period_s + guard_s
    return ANY_TIME
