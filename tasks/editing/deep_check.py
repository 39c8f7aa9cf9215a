"""A catalog looked at as a run would look at it, and nothing sent: every file is read, decoded and judged by preflight."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import cv2

from manifests.catalog_findings import CatalogFindings, Example, Found
from manifests.error_codes import ErrorCode
from manifests.items import Item, Operation
from manifests.reader import Manifest
from manifests.rows import RowFault
from tasks.config import Settings
from tasks.config.imaging import PreflightSettings
from tasks.editing.storage import Storage, StorageError
from tasks.imaging.allocator import keep_freed_memory
from tasks.preflight import check_item
from tasks.providers.registry import KEYS

_READ_AT_ONCE: Final = 16  # rows whose files are read or held at the same time: bounds memory
_DECODED_AT_ONCE: Final = os.cpu_count() or 1
_NOT_FOUND: Final = {
    "image": ErrorCode.IMAGE_NOT_FOUND,
    "mask": ErrorCode.MASK_NOT_FOUND,
    "reference": ErrorCode.REFERENCE_NOT_FOUND,
}

Price = Callable[[Item], Decimal]
"""What a row would cost, US dollars."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """What became of one row."""

    item: Item | RowFault
    code: ErrorCode | None = None
    message: str = ""
    repairs: tuple[str, ...] = ()
    bytes_read: int = 0


def priced_providers(settings: Settings, named: Sequence[str] = ()) -> tuple[str, ...]:
    """Those named, else all that have a key; of these, the ones whose price is known. The local engine costs nothing."""
    asked = named or [key for key in KEYS if key != "local" and settings.providers.of(key).key() is not None]
    return tuple(key for key in asked if any(settings.providers.of(key).cost_usd(operation) for operation in Operation))


def least_price(settings: Settings, providers: Sequence[str]) -> Price:
    """A row's price at the cheapest of these providers; at its own, where the row is pinned to one."""

    def price(item: Item) -> Decimal:
        keys = (item.provider,) if item.provider is not None and item.provider in providers else providers
        usd = [settings.providers.of(key).cost_usd(item.operation) for key in keys]
        return min((amount for amount in usd if amount), default=Decimal(0))

    return price


async def check_deeply(
    manifest: Manifest,
    settings: Settings,
    *,
    providers: Sequence[str] = (),
    examples: int = 5,
    progress: Callable[[int], None] = lambda _: None,
) -> CatalogFindings:
    """Judge every row. Memory is bounded by the rows under way, not by the catalog.

    Args:
        manifest: opened with batches of a few thousand rows at most.
        settings: preflight's thresholds, the providers' prices.
        providers: by whose prices the money saved is told, from `priced_providers`.
        examples: how many rows to keep of each finding.
        progress: told the number of rows of each step.
    """
    keep_freed_memory()
    cv2.setNumThreads(1)  # pictures are spread over the cores, not the parts of one picture
    found, price = CatalogFindings(priced_by=tuple(providers)), least_price(settings, providers)
    looker = _Looker(settings.preflight)
    for ref in manifest.batches():
        items = (await asyncio.to_thread(manifest.read, ref)).items
        judged = await asyncio.gather(*(looker.look(item) for item in items))
        for row, one in enumerate(judged, ref.first_row):
            _add(found, row, one, price, examples)
        progress(len(items))
    await looker.aclose()
    return found


class _Looker:
    """Reads and judges rows, a bounded number at a time."""

    def __init__(self, settings: PreflightSettings) -> None:
        self._settings = settings
        self._storage = Storage()
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)
        self._decoding = asyncio.Semaphore(_DECODED_AT_ONCE)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._storage.aclose()

    async def look(self, item: Item | RowFault) -> _Judged:
        """One row, from its files to what preflight says."""
        if isinstance(item, RowFault):
            return _Judged(item=item, code=item.code, message=item.message)
        async with self._reading:
            files: dict[str, bytes | None] = {}
            for role, uri in (("image", item.image_uri), ("mask", item.mask_uri), ("reference", item.reference_uri)):
                try:
                    files[role] = None if uri is None else await self._storage.read(uri)
                except StorageError as error:
                    return _Judged(item=item, code=_NOT_FOUND[role], message=f"the {role} cannot be read: {error}")
            async with self._decoding:
                return await asyncio.to_thread(self._judge, item, files)

    def _judge(self, item: Item, files: dict[str, bytes | None]) -> _Judged:
        checked = check_item(item, files["image"] or b"", files["mask"], files["reference"], self._settings)
        size = sum(len(data) for data in files.values() if data is not None)
        return _Judged(
            item=item, code=checked.code, message=checked.reason or "", repairs=checked.repairs, bytes_read=size
        )


def _add(found: CatalogFindings, row: int, one: _Judged, price: Price, examples: int) -> None:
    found.rows += 1
    found.bytes_read += one.bytes_read
    if one.code is not None:
        fault = found.faults.setdefault(one.code, Found())
        fault.saved_usd += price(one.item) if isinstance(one.item, Item) else Decimal(0)
        _count(fault, row, one, examples)
        return
    if one.repairs:
        found.repaired += 1
    else:
        found.untouched += 1
    for name in dict.fromkeys(one.repairs):
        _count(found.repairs.setdefault(name, Found()), row, one, examples)


def _count(found: Found, row: int, one: _Judged, examples: int) -> None:
    found.rows += 1
    if len(found.examples) >= examples:
        return
    item = one.item if isinstance(one.item, Item) else None
    found.examples.append(
        Example(
            row=row,
            item_id=one.item.item_id,
            message=one.message,
            image_uri=item.image_uri if item else None,
            mask_uri=item.mask_uri if item else None,
            reference_uri=item.reference_uri if item else None,
        )
    )
