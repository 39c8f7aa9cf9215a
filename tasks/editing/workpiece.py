"""A row's files in memory: bytes while it waits, pixels only while somebody works on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from manifests.items import Item
from tasks.editing.runtime import Runtime
from tasks.editing.sources import Sources
from tasks.preflight import Preflight, check_item


class Workpiece:
    """One row under work. Pixels of a 1080p photo take 15 times its JPEG, so rows that wait for a provider keep none."""

    def __init__(self, runtime: Runtime, item: Item, sources: Sources) -> None:
        """`sources`: with bytes."""
        self.item = item
        self.sources = sources
        self._runtime = runtime

    @asynccontextmanager
    async def pixels(self) -> AsyncIterator[Preflight]:
        """Decoded and checked, within the number of pictures that may be decoded at once."""
        async with self._runtime.decoded:
            sources = self.sources
            yield await self._runtime.cpu(
                check_item,
                self.item,
                sources.image.data or b"",
                sources.mask.data if sources.mask else None,
                sources.reference.data if sources.reference else None,
                self._runtime.settings.preflight,
            )

    @property
    def size_bytes(self) -> int:
        """Of the picture's file."""
        return len(self.sources.image.data or b"")
