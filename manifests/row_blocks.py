"""Many rows of a manifest as columns: rows that are alike in all but their item_id are read as an item once, not each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types

from manifests.batch_rows import Repeated, item_or_fault
from manifests.item_ids import CONTENT_COLUMNS, derived_id, numbered, unsafe_ids
from manifests.items import Item
from manifests.row_groups import Rows
from manifests.rows import RowFault, UnusableRowError, read_item
from manifests.schemas import MANIFEST_SCHEMA

NO_ITEM: Final = -1


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class RowBlock:
    """Rows that follow each other. `table` is that of `BatchRows`."""

    first_row: int  # from the start of the manifest
    table: pa.Table
    items: Sequence[Item]  # one for each kind of row: all that it asks for; the item_id is that of its first row
    kinds: NDArray[np.int64]  # of each row: which of `items`, or NO_ITEM
    faults: Mapping[int, RowFault]  # why it is none, by position


def row_block(first_row: int, rows: Rows, repeated: Repeated) -> RowBlock:
    """The same items and faults as row by row (`batch_rows`); the cost of an item is that of its kind."""
    kinds, firsts = _kinds_of(rows.table)
    values = rows.table.select(MANIFEST_SCHEMA.names).take(firsts).to_pylist()
    given = _in_one_piece(rows.table["item_id"])
    unnamed = set(pc.indices_nonzero(pc.equal(pc.fill_null(given, ""), "")).to_pylist())
    ids = _filled_ids(given, unnamed, first_row, kinds, values, repeated) if unnamed else given
    read = [_item(one, ids[first].as_py()) for one, first in zip(values, firsts.tolist(), strict=True)]
    usable = np.array([item is not None for item in read], bool)
    doubtful = {*rows.faults, *({row - first_row for row in repeated} - unnamed), *unsafe_ids(ids)}
    doubtful.update(np.flatnonzero(~usable[kinds]).tolist())
    faults = _faults(first_row, rows, sorted(doubtful), repeated)
    kinds = np.where(usable, np.cumsum(usable) - 1, NO_ITEM)[kinds]
    kinds[list(faults)] = NO_ITEM
    return RowBlock(
        first_row=first_row,
        table=rows.table.set_column(0, rows.table.schema.field(0), ids),
        items=[item for item in read if item is not None],
        kinds=kinds,
        faults=faults,
    )


def _item(values: Mapping[str, Any], item_id: str) -> Item | None:
    try:
        return read_item(values, item_id)
    except UnusableRowError:
        return None


def _faults(first_row: int, rows: Rows, positions: Sequence[int], repeated: Repeated) -> dict[int, RowFault]:
    """Of the rows at these positions, those that are no items, with the reason in the words of a batch."""
    values = rows.table.select(MANIFEST_SCHEMA.names).take(pa.array(positions, pa.int64())).to_pylist()
    found = (
        item_or_fault(one, row=first_row + position, cast_fault=rows.faults.get(position), repeated=repeated)
        for position, one in zip(positions, values, strict=True)
    )
    return {position: one for position, one in zip(positions, found, strict=True) if isinstance(one, RowFault)}


def _filled_ids(
    given: pa.Array,
    unnamed: Collection[int],
    first_row: int,
    kinds: NDArray[np.int64],
    values: Sequence[Mapping[str, Any]],
    repeated: Repeated,
) -> pa.Array:
    """The given ids, and derived ones where there is none."""
    ids = given.to_pylist()
    derived: dict[int, str] = {}
    for position in unnamed:
        kind = int(kinds[position])
        if kind not in derived:
            derived[kind] = derived_id(values[kind])
        _, nth = repeated.get(first_row + position, (0, 1))
        ids[position] = numbered(derived[kind], nth)
    return pa.array(ids, pa.string())


def _kinds_of(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The kind of each row, from 0 on, and the position of the first row of each kind."""
    kinds, count = np.zeros(len(table), np.int64), 1
    for name in CONTENT_COLUMNS:
        if table[name].null_count < len(table):
            codes, distinct = _codes(_in_one_piece(table[name]))
            kinds, count = _codes(pa.array(kinds * distinct + codes)) if count > 1 else (codes, distinct)
    firsts = np.empty(count, np.int64)
    firsts[kinds[::-1]] = np.arange(len(table) - 1, -1, -1)  # what is written last stays
    return kinds, firsts


def _codes(column: pa.Array) -> tuple[NDArray[np.int64], int]:
    """A number for each value, the same for equal ones, and how many numbers there are."""
    if types.is_list(column.type):
        column = pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())
    encoded = column.dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)


def _in_one_piece(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
