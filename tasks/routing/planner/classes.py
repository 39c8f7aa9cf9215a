"""Rows counted by what is asked of them, so that planning needs memory for the kinds of rows and not for the rows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.routing.work import Work

_SELECTOR_COLUMNS: Final = {
    "mask": "mask_uri",
    "points": "points",
    "box": "box",
    "text": "object_name",
    "reference": "reference_uri",
    "prompt": "prompt",
}
_MARKS: Final = frozenset({"mask", "points", "box", "text"})  # any of them says what is to go
_SCENES: Final = frozenset({"reference", "prompt"})  # any of them says what is to come
_KEYS: Final = ("operation", "provider", *_SELECTOR_COLUMNS)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkClass:
    """So many rows that are alike for planning."""

    work: Work
    rows: int


class Tally:
    """Counts rows as they stream by: 10 million rows of a catalog are a handful of classes."""

    def __init__(self) -> None:
        self._counts: Counter[Work] = Counter()
        self._rejected: Counter[ErrorCode] = Counter()

    @property
    def classes(self) -> tuple[WorkClass, ...]:
        """What was counted, largest first."""
        return tuple(WorkClass(work=work, rows=rows) for work, rows in self._counts.most_common())

    @property
    def rejected(self) -> Mapping[ErrorCode, int]:
        """Rows that preflight would reject by their shape alone."""
        return {code: rows for code, rows in self._rejected.items() if rows}

    @property
    def rows(self) -> int:
        """Rows seen, rejected ones included."""
        return self._counts.total() + self._rejected.total()

    def add(self, work: Work, rows: int = 1) -> None:
        """Rows whose shape is known to be good."""
        self._counts[
            Work(operation=work.operation, selectors=work.selectors, pixels=work.pixels, pinned=work.pinned)
        ] += rows

    def reject(self, code: ErrorCode, rows: int = 1) -> None:
        """Rows that will not be sent."""
        self._rejected[code] += rows

    def add_columns(self, table: pa.Table | pa.RecordBatch) -> None:
        """Rows of a manifest, by its columns (`MANIFEST_SCHEMA`; absent ones count as null), some 10 million a second.

        Only what the columns show is judged: a picture is named, the operation known, and said what is to go or come.
        """
        keys = pa.table({name: _key(table, name) for name in _KEYS} | {"image": _given(table, "image_uri")})
        counted = keys.group_by([*_KEYS, "image"]).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            self._add_counted(row, row["count_all"])

    def _add_counted(self, row: Mapping[str, object], rows: int) -> None:
        selectors = frozenset(name for name in _SELECTOR_COLUMNS if row[name])
        try:
            operation = Operation(str(row["operation"] or Operation.OBJECT_REMOVAL))
        except ValueError:
            self.reject(ErrorCode.ROW_INVALID, rows)
            return
        if not row["image"]:
            self.reject(ErrorCode.ROW_INVALID, rows)
        elif operation is Operation.OBJECT_REMOVAL and not selectors & _MARKS:
            self.reject(ErrorCode.MASK_MISSING, rows)
        elif operation is Operation.BACKGROUND_REPLACE and not selectors & _SCENES:
            self.reject(ErrorCode.REFERENCE_MISSING, rows)
        else:
            pinned = str(row["provider"]) if row["provider"] else None
            self.add(Work(operation=operation, selectors=selectors, pinned=pinned), rows)


def _key(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array | pa.ChunkedArray:
    column = _SELECTOR_COLUMNS.get(name)
    if column is not None:
        return _given(table, column)
    if name not in table.schema.names:
        return pa.nulls(table.num_rows, pa.string())
    return table.column(name).cast(pa.string())


def _given(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array | pa.ChunkedArray:
    """True where the cell holds something: not null, not an empty text, not an empty list."""
    if name not in table.schema.names:
        return pa.array([False] * table.num_rows) if table.num_rows < 1 else pa.repeat(False, table.num_rows)
    column = table.column(name)
    length = (
        pc.list_value_length if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) else pc.utf8_length
    )
    return pc.fill_null(pc.greater(length(column), 0), False)
