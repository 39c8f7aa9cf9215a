"""A row's files in memory: bytes while it waits; pixels while somebody works on them, and between as far as there is room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from manifests.items import Item
from tasks.editing.runtime import LITTLE_FILES_BYTES, Runtime
from tasks.editing.sources import Sources
from tasks.preflight import Preflight, check_item


class Workpiece:
    """One row under work. Pixels of a 1080p photo take 15 times its JPEG, so only some rows that wait for a provider keep them."""

    def __init__(self, runtime: Runtime, item: Item, sources: Sources) -> None:
        """`sources`: with bytes."""
        self.item = item
        self.sources = sources
        self._runtime = runtime
        self._kept: Preflight | None = None

    @asynccontextmanager
    async def pixels(self, *, finishing: bool = False) -> AsyncIterator[Preflight]:
        """Decoded and checked, within the number of pictures that may be decoded at once. `finishing`: the answer is there."""
        async with self._runtime.decoded.one(finishing=finishing):
            if self._kept is not None:
                yield self._kept
                return
            sources = self.sources
            yield await self._runtime.cpu(
                check_item,
                self.item,
                sources.image.data or b"",
                sources.mask.data if sources.mask else None,
                sources.reference.data if sources.reference else None,
                self._runtime.settings.preflight,
                little=sum(len(file.data or b"") for file in sources.files) <= LITTLE_FILES_BYTES,
            )

    def keep(self, checked: Preflight) -> None:
        """Hold on to the pixels until `let_go`, so that they need not be decoded again; only if there is room."""
        if self._kept is None and self._runtime.kept_pixels.try_take(checked.pixels_bytes):
            self._kept = checked

    def let_go(self) -> None:
        """Give the room back."""
        if self._kept is not None:
            self._runtime.kept_pixels.give_back(self._kept.pixels_bytes)
            self._kept = None

    @property
    def size_bytes(self) -> int:
        """Of the picture's file."""
        return len(self.sources.image.data or b"")
