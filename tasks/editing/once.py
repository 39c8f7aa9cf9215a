"""The same content is worked on once: rows that ask for it meanwhile wait for the first and share its result."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class OnceAtATime:
    """One lock a content key, while anybody wants it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Nobody else in this process works on `key` inside the block."""
        lock, wanted = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, wanted + 1)
        try:
            async with lock:
                yield
        finally:
            lock, wanted = self._locks.pop(key)
            if wanted > 1:
                self._locks[key] = (lock, wanted - 1)
