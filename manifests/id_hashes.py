"""Item ids as 128-bit hashes, a few thousand at a time; derived ids are computed on the way (DuckDB does both in bulk)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.item_ids import DERIVED_ID_SQL

RECORD: Final = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<i8"), ("derived", "?")])
Records = NDArray[np.void]

_GIVEN: Final = "nullif(item_id, '')"
_HASHES: Final = "hash(k) AS high, hash('#' || k) AS low"
_NUMBERED: Final = re.compile(r"(row-[0-9a-f]{20})-([0-9]{1,9})")


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberedId:
    """A given id that looks like a derived one with its number: a manifest was put together with its own results."""

    base: tuple[int, int]  # hash of the part before the number
    nth: int
    row: int


class IdHasher:
    """Batches have a column `row` (int64), `item_id`, and the rest of our columns when some rows lack an id."""

    def __enter__(self) -> "IdHasher":
        self._database = duckdb.connect()
        self._database.execute("SET threads=1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def records(self, batch: pa.RecordBatch) -> Records:
        """Of each row: its id's hash, its number, and whether the id is derived."""
        key = f"coalesce({_GIVEN}, {DERIVED_ID_SQL})" if _may_lack_ids(batch) else _GIVEN
        self._database.register("batch", batch)
        query = f'SELECT {_HASHES}, "row", {_GIVEN} IS NULL AS derived FROM (SELECT *, {key} AS k FROM batch)'  # noqa: S608 - our own words
        found = self._database.execute(query).fetchnumpy()
        records = np.empty(len(batch), RECORD)
        for name in RECORD.names or ():
            records[name] = found[name]
        return records

    def numbered(self, batch: pa.RecordBatch) -> list[NumberedId]:
        """Given ids that a derived one may come to equal; none in a manifest whose ids are all given."""
        if not _may_lack_ids(batch):
            return []
        likely = pc.match_substring_regex(batch.column("item_id"), f"^{_NUMBERED.pattern}$")
        chosen = batch.select(["row", "item_id"]).filter(pc.fill_null(likely, fill_value=False)).to_pydict()
        parts = [match.groups() for match in map(_NUMBERED.fullmatch, chosen["item_id"]) if match]
        bases = self._hashes([base for base, _ in parts])
        found = zip(bases, parts, chosen["row"], strict=True)
        return [NumberedId(base=base, nth=int(number), row=row) for base, (_, number), row in found]

    def _hashes(self, ids: Sequence[str]) -> list[tuple[int, int]]:
        if not ids:
            return []
        self._database.register("batch", pa.table({"k": ids}))
        found: list[tuple[int, int]] = self._database.execute(f"SELECT {_HASHES} FROM batch").fetchall()  # noqa: S608 - our own words
        return found


def _may_lack_ids(batch: pa.RecordBatch) -> bool:
    return len(batch.schema) > 2
