"""Item ids as 128-bit hashes, a few thousand at a time; derived ids are computed on the way (by DuckDB, in bulk)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.item_ids import DERIVED_ID_SQL

RECORD: Final = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<i8"), ("derived", "?")])
Records = NDArray[np.void]

_NUMBERED: Final = re.compile(r"(row-[0-9a-f]{20})-([0-9]{1,9})")


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberedId:
    """A given id that looks like a derived one with its number: a manifest was put together with its own results."""

    base: tuple[int, int]  # hash of the part before the number
    nth: int
    row: int


class IdHasher:
    """Batches have a column `row` (int64), `item_id`, and the rest of our columns when some rows lack an id.

    Hashes are Python's own of strings: 64 bits with a secret of the process, and quicker than a detour. They hold for one process.
    """

    def __init__(self) -> None:
        self._database: Any = None  # opened when the first id has to be derived

    def __enter__(self) -> "IdHasher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._database.close()

    def records(self, batch: pa.RecordBatch) -> Records:
        """Of each row: its id's hash, its number, and whether the id is derived."""
        records = np.zeros(len(batch), RECORD)
        records["row"] = batch.column("row").to_numpy()
        ids = batch.column("item_id").to_pylist()
        if _may_lack_ids(batch):
            records["derived"] = [not one for one in ids]
            ids = self._with_derived(batch)
        records["high"], records["low"] = _hashes(ids)
        return records

    def _with_derived(self, batch: pa.RecordBatch) -> list[str]:
        if self._database is None:
            self._database = import_module("duckdb").connect()
            self._database.execute("SET threads=1")
        self._database.register("batch", batch)
        rows = self._database.execute(f"SELECT coalesce(nullif(item_id, ''), {DERIVED_ID_SQL}) FROM batch").fetchall()  # noqa: S608 - our own words
        return [item_id for (item_id,) in rows]

    def numbered(self, batch: pa.RecordBatch) -> list[NumberedId]:
        """Given ids that a derived one may come to equal; none in a manifest whose ids are all given."""
        if not _may_lack_ids(batch):
            return []
        likely = pc.match_substring_regex(batch.column("item_id"), f"^{_NUMBERED.pattern}$")
        chosen = batch.select(["row", "item_id"]).filter(pc.fill_null(likely, fill_value=False)).to_pydict()
        parts = [match.groups() for match in map(_NUMBERED.fullmatch, chosen["item_id"]) if match]
        highs, lows = _hashes([base for base, _ in parts])
        found = zip(zip(highs.tolist(), lows.tolist(), strict=True), parts, chosen["row"], strict=True)
        return [NumberedId(base=base, nth=int(number), row=row) for base, (_, number), row in found]


def _hashes(ids: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """128 bits in two halves."""
    high = np.fromiter(map(hash, ids), np.int64, len(ids))
    low = np.fromiter(map(hash, map("#".__add__, ids)), np.int64, len(ids))
    return high.view(np.uint64), low.view(np.uint64)


def _may_lack_ids(batch: pa.RecordBatch) -> bool:
    return len(batch.schema) > 2
