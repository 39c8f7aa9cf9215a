"""How many rows of which kind a manifest holds, and which of them need no provider: looked at as closely as is asked for.

By columns: millions of rows a second, in flat memory. By files: a look at each file's version, which tells what is missing
and, where the ledger knows the version's hash, what was delivered before. By pixels: each picture is read, and checked as
preflight would.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import pyarrow as pa

from manifests.duplicates import Duplicates
from manifests.error_codes import ErrorCode
from manifests.items import Item
from manifests.reader import Manifest, open_manifest
from manifests.rows import RowFault
from manifests.schemas import MANIFEST_SCHEMA
from tasks.config import CleanupConfig, Settings
from tasks.credits import Ledger
from tasks.editing.sources import SourceError, SourceReader, Sources
from tasks.editing.storage import Storage
from tasks.preflight import check_item
from tasks.routing import Work
from tasks.routing.planner import Tally

FILES_BY_ITSELF: Final = 5_000  # rows up to which files are looked at without being asked to
CHUNK: Final = 250  # rows whose files are looked at together
READ_AT_ONCE: Final = 8  # pictures in memory at once
REMEMBERED: Final = 1_000_000  # content keys, to find the same work twice in one manifest


class Look(StrEnum):
    """How closely rows are looked at."""

    AUTO = "auto"  # files where there are few, else rows
    ROWS = "rows"
    FILES = "files"
    PIXELS = "pixels"


@dataclass(kw_only=True, slots=True)
class Counted:
    """What was found."""

    look: Look
    tally: Tally = field(default_factory=Tally)
    reused: int = 0  # delivered before, or the same work as an earlier row of this manifest
    unknown_content: int = 0  # rows of which could not be said whether they were delivered before


def count_rows(manifest: Manifest) -> Tally:
    """By columns alone."""
    tally, row = Tally(), 0
    duplicates = manifest.duplicate_rows()
    for rows in manifest.stream(MANIFEST_SCHEMA.names):
        tally.reject(ErrorCode.ROW_INVALID, len(rows.faults))
        table = _without(rows.table, set(rows.faults) | _repeats(duplicates, rows.table, row, tally))
        tally.add_columns(table)
        row += len(rows.table)
    return tally


async def count_closely(
    config: CleanupConfig, settings: Settings, ledger: Ledger, look: Look, *, progress: Callable[[int], None]
) -> Counted:
    """As closely as asked for. `progress` is told the rows of each step.

    Raises:
        ManifestError: the manifest cannot be used.
    """
    manifest = open_manifest(config.manifest, batch_size=CHUNK)
    if look is Look.AUTO:
        look = Look.FILES if manifest.row_count <= FILES_BY_ITSELF else Look.ROWS
    if look is Look.ROWS:
        tally = await asyncio.to_thread(count_rows, manifest)
        progress(manifest.row_count)
        return Counted(look=look, tally=tally, unknown_content=sum(one.rows for one in tally.classes))
    return await _Counter(config, settings, ledger, Counted(look=look)).count(manifest, progress)


class _Counter:
    """Looks at files, and at pixels where asked to."""

    def __init__(self, config: CleanupConfig, settings: Settings, ledger: Ledger, counted: Counted) -> None:
        self._config, self._settings, self._ledger, self._counted = config, settings, ledger, counted
        self._reader = SourceReader(Storage(), ledger)
        self._reading = asyncio.Semaphore(READ_AT_ONCE)
        self._keys: set[int] = set()

    async def count(self, manifest: Manifest, progress: Callable[[int], None]) -> Counted:
        async for rows in _chunks(manifest):
            await self._chunk([item for item in rows if isinstance(item, Item)])
            for code, count in Counter(fault.code for fault in rows if isinstance(fault, RowFault)).items():
                self._counted.tally.reject(code, count)
            progress(len(rows))
        return self._counted

    async def _chunk(self, items: Sequence[Item]) -> None:
        found = await self._reader.look(items)
        if self._counted.look is Look.PIXELS:
            found = list(await asyncio.gather(*(self._read(one) for one in found)))
        format_ = self._config.output_format
        keys = [
            one.key(item, format_) if isinstance(one, Sources) else None for item, one in zip(items, found, strict=True)
        ]
        wanted = [key for key in keys if key is not None]
        delivered = await self._ledger.delivered(wanted) if wanted and self._config.reuse else {}
        for item, sources, key in zip(items, found, keys, strict=True):
            if isinstance(sources, SourceError):
                self._counted.tally.reject(sources.code)
            elif key is not None and (key in delivered or self._is_repeated(key)):
                self._counted.reused += 1
            else:
                self._counted.unknown_content += key is None
                await self._open(item, sources)

    async def _open(self, item: Item, sources: Sources) -> None:
        """A row that is still to be done, unless preflight would refuse it."""
        if self._counted.look is not Look.PIXELS:
            self._counted.tally.add(Work.of(item))
            return
        checked = await asyncio.to_thread(
            check_item,
            item,
            sources.image.data or b"",
            sources.mask.data if sources.mask else None,
            sources.reference.data if sources.reference else None,
            self._settings.preflight,
        )
        picture = checked.picture
        if not checked.accepted or picture is None:
            self._counted.tally.reject(checked.code or ErrorCode.INTERNAL_ERROR)
        else:
            self._counted.tally.add(Work.of(item, pixels=_rounded(picture.width * picture.height)))

    async def _read(self, sources: Sources | SourceError) -> Sources | SourceError:
        if isinstance(sources, SourceError):
            return sources
        async with self._reading:
            try:
                return await self._reader.read(sources)
            except SourceError as error:
                return error

    def _is_repeated(self, key: str) -> bool:
        short = hash(key)
        if short in self._keys:
            return True
        if len(self._keys) < REMEMBERED:
            self._keys.add(short)
        return False


async def _chunks(manifest: Manifest) -> AsyncIterator[Sequence[Item | RowFault]]:
    for ref in manifest.batches():
        rows = await asyncio.to_thread(manifest.read, ref)
        yield rows.items


def _repeats(duplicates: Duplicates, table: pa.Table, first_row: int, tally: Tally) -> set[int]:
    """Rows of this stretch whose given item_id an earlier row has; derived ids that repeat are told apart."""
    ids = table.column("item_id")
    found = {row - first_row for row in duplicates.within(first_row, len(table)) if ids[row - first_row].is_valid}
    tally.reject(ErrorCode.DUPLICATE_ITEM_ID, len(found))
    return found


def _without(table: pa.Table, rows: set[int]) -> pa.Table:
    return table.filter(pa.array([row not in rows for row in range(len(table))])) if rows else table


def _rounded(pixels: int) -> int:
    """To two digits: pictures that differ by less are alike for planning, and the kinds of rows stay few."""
    step: int = 10 ** max(0, len(str(pixels)) - 2)
    return -(-pixels // step) * step
