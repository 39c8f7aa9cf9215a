"""Back-pressure on bytes, not on counts: fifty thumbnails and fifty posters are different amounts of memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class ByteBudget:
    """At most `limit_bytes` held at once, first come first served; one file larger than all of it may pass alone."""

    def __init__(self, limit_bytes: int) -> None:
        """Belongs to one event loop."""
        self._limit = limit_bytes
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait until there is room, and keep it until the block ends."""
        size = min(size_bytes, self._limit)
        await self._take(size)
        try:
            yield
        finally:
            self._held -= size
            self._admit()

    def try_take(self, size_bytes: int) -> bool:
        """Hold this much without waiting, if there is room and nobody waits for it; `give_back` ends it."""
        if self._waiting or self._held + size_bytes > self._limit:
            return False
        self._held += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """What `try_take` took."""
        self._held -= size_bytes
        self._admit()

    async def _take(self, size: int) -> None:
        if not self._waiting and self._held + size <= self._limit:
            self._held += size
            return
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, ticket))
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._held -= size
            else:
                with suppress(ValueError):  # whoever gave room back has passed over it already
                    self._waiting.remove((size, ticket))
            self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._held + self._waiting[0][0] <= self._limit:
            size, ticket = self._waiting.popleft()
            if not ticket.done():
                self._held += size
                ticket.set_result(None)
