"""Rows of a manifest as they were read → the rows of one batch, each an item or the fault that keeps it from being one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests.error_codes import ErrorCode
from manifests.item_ids import derived_id
from manifests.items import BatchRef, Item
from manifests.row_groups import Rows
from manifests.rows import RowFault, parse_row, quote
from manifests.schemas import MANIFEST_SCHEMA

Repeated = Mapping[int, tuple[int, int]]
"""Rows whose item_id an earlier row has: row → (that row, which of those alike this one is)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRows:
    """The rows of one batch. `table`: our columns (item_id filled), then the foreign ones, types and nulls intact.

    `items` has one entry a row: the item, or the fault that keeps the row from being one.
    """

    ref: BatchRef
    table: pa.Table
    items: tuple[Item | RowFault, ...]


def batch_rows(ref: BatchRef, rows: Rows, repeated: Repeated) -> BatchRows:
    """Every row by itself."""
    items: list[Item | RowFault] = []
    for index, values in enumerate(rows.table.select(MANIFEST_SCHEMA.names).to_pylist()):
        items.append(
            item_or_fault(values, row=ref.first_row + index, cast_fault=rows.faults.get(index), repeated=repeated)
        )
    ids = pa.array([item.item_id for item in items], pa.string())
    table = rows.table.set_column(0, rows.table.schema.field(0), ids)
    return BatchRows(ref=ref, table=table, items=tuple(items))


def item_or_fault(
    values: Mapping[str, Any], *, row: int, cast_fault: tuple[str, str] | None, repeated: Repeated
) -> Item | RowFault:
    """One row. `cast_fault`: which of its columns could not be read, and why."""
    first, nth = repeated.get(row, (row, 1))
    item_id = values["item_id"] or derived_id(values, nth)
    if cast_fault is not None:
        return _cast_fault(row, item_id, *cast_fault)
    if nth > 1 and values["item_id"]:
        return _duplicate(row, item_id, first)
    return parse_row(values, row=row, item_id=item_id)


def _cast_fault(row: int, item_id: str, column: str, reason: str) -> RowFault:
    message = (
        f"row {row} (item {quote(item_id)}): {column} cannot be read as {MANIFEST_SCHEMA.field(column).type}: {reason}"
    )
    return RowFault(row=row, item_id=item_id, code=ErrorCode.ROW_INVALID, message=message)


def _duplicate(row: int, item_id: str, first: int) -> RowFault:
    message = f"row {row}: item_id {quote(item_id)} is that of row {first} already: give each row its own"
    return RowFault(row=row, item_id=item_id, code=ErrorCode.DUPLICATE_ITEM_ID, message=message)
