"""Places for pictures as pixels: a bounded number, and rows that have their answer come before rows that begin."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Places:
    """Belongs to one event loop.

    First come, first served would check hundreds of rows ahead while answers lie waiting; there is no room to keep the
    pixels of so many, and each would be decoded twice.
    """

    def __init__(self, count: int) -> None:
        """`count`: how many may be taken at once."""
        self._free = count
        self._finishing: deque[asyncio.Future[None]] = deque()
        self._beginning: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def one(self, *, finishing: bool = False) -> AsyncIterator[None]:
        """Wait for a place, and keep it until the block ends."""
        await self._take(self._finishing if finishing else self._beginning)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, queue: deque[asyncio.Future[None]]) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            else:
                with suppress(ValueError):  # whoever gave a place back has passed over it already
                    queue.remove(turn)
            raise

    def _give_back(self) -> None:
        for queue in (self._finishing, self._beginning):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
