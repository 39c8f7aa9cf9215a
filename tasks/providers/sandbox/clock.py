"""Time as the sandbox sees it; tests hand in a clock of their own."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Three ways to ask for time."""

    def monotonic_s(self) -> float:
        """Seconds since some point, never going back: for windows and lives of jobs."""
        ...

    def now(self) -> datetime:
        """Wall time, UTC: for bills, signed addresses and answers."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class SystemClock:
    """The machine's own time."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def iso(moment: datetime) -> str:
    """`2026-05-06T10:00:00.000+00:00`: milliseconds, and an offset instead of Z, as Runflow writes it."""
    return moment.isoformat(timespec="milliseconds")
