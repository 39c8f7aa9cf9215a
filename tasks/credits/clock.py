"""Time, passed in: the system's clock, and one that tests turn by hand."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the ledger asks of time."""

    def time(self) -> float:
        """Seconds since 1970, UTC. Called from more than one thread."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance`: for tests and rehearsals. Lives in one event loop."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """`start`: the time it shows until it is advanced."""
        self._now = start.timestamp()
        self._sleepers: dict[asyncio.Future[None], float] = {}
        self._somebody_sleeps = asyncio.Event()

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed that moment."""
        if seconds <= 0:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[sleeper] = self._now + seconds
        self._somebody_sleeps.set()
        try:
            await sleeper
        finally:
            del self._sleepers[sleeper]
            if not self._sleepers:
                self._somebody_sleeps.clear()

    def advance(self, seconds: float) -> None:
        """Turn the hands; whoever slept until then wakes."""
        self._now += seconds
        for sleeper, until in self._sleepers.items():
            if until <= self._now and not sleeper.done():
                sleeper.set_result(None)

    async def next_due_s(self) -> float:
        """Wait until somebody sleeps; seconds until the first of them is due."""
        await self._somebody_sleeps.wait()
        return max(min(self._sleepers.values()) - self._now, 0.0)


def moment(seconds: float) -> datetime:
    """POSIX seconds → an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)
