"""Opening a manifest: its rows by reference, a batch at a time, in memory that does not grow with their number."""

import bisect
import threading
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

from manifests.batch_rows import BatchRows, Repeated, batch_rows
from manifests.duplicates import Duplicates, find_duplicates
from manifests.errors import ManifestError
from manifests.items import BatchRef
from manifests.layout import Layout, discover
from manifests.row_blocks import RowBlock, row_block
from manifests.row_groups import RowGroupReader, Rows
from manifests.schemas import MANIFEST_SCHEMA
from manifests.storage import StorageOptions

BATCH_SIZE: Final = 50
_DUPLICATES_CARRIED: Final = 100_000  # rows; more are found anew by a copy in another process
_AT_ONCE: Final = 16_384  # rows whose duplicates are known before the whole manifest has been scanned


def open_manifest(
    uri: str | Sequence[str], *, batch_size: int = BATCH_SIZE, storage_options: StorageOptions | None = None
) -> "Manifest":
    """Open one Parquet file, several, a folder, a Hive-partitioned dataset or a glob, on any fsspec URL. Reads footers alone.

    Raises:
        ManifestError: it cannot be used as a whole; the message says why and what to do.
    """
    uris = (uri,) if isinstance(uri, str) else tuple(uri)
    if not uris:
        raise ManifestError("no manifest was named: give the address of a Parquet file or of a folder of them")
    return Manifest(uris, discover(uris, storage_options), batch_size, storage_options)


class Manifest:
    """A manifest whose footers have been read. Safe for threads; pickles small, and a copy in another process reads for itself."""

    def __init__(
        self, uris: tuple[str, ...], layout: Layout, batch_size: int, storage_options: StorageOptions | None
    ) -> None:
        self.uris = uris
        self.batch_size = batch_size
        self._layout = layout
        self._options = storage_options
        counts = [(rows, number, file) for file in layout.files for number, rows in enumerate(file.row_groups) if rows]
        self._groups = [(file, number) for _, number, file in counts]
        self._rows_before = [0, *accumulate(rows for rows, _, _ in counts)]
        self._batches_before = [0, *accumulate(-(-rows // batch_size) for rows, _, _ in counts)]
        self._duplicates: Duplicates | None = None
        self._start()

    def _start(self) -> None:
        """What each process has for itself."""
        self._reader = RowGroupReader(self._layout.schema, self._options)
        self._files = {file.uri: file for file in self._layout.files}
        self._lock = threading.Lock()
        self._first_duplicates: Duplicates | None = None

    def __getstate__(self) -> dict[str, Any]:
        """All but open files, locks and what can be found again."""
        left_out = {"_reader", "_files", "_lock", "_first_duplicates"}
        state = {name: value for name, value in vars(self).items() if name not in left_out}
        if self._duplicates is not None and len(self._duplicates.rows) > _DUPLICATES_CARRIED:
            state["_duplicates"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    @property
    def row_count(self) -> int:
        """Rows in the whole manifest."""
        return self._rows_before[-1]

    @property
    def batch_count(self) -> int:
        """Batches in the whole manifest; none spans two row groups."""
        return self._batches_before[-1]

    @property
    def row_group_lengths(self) -> tuple[int, ...]:
        """Rows of each row group that has any, in order."""
        return tuple(after - before for before, after in pairwise(self._rows_before))

    @property
    def schema(self) -> pa.Schema:
        """Of `BatchRows.table`: our columns, then the foreign ones."""
        return self._layout.schema

    @property
    def given_columns(self) -> tuple[str, ...]:
        """Those of our columns that at least one file has."""
        return tuple(name for name in MANIFEST_SCHEMA.names if any(name in f.plan.ours for f in self._layout.files))

    def batch(self, index: int) -> BatchRef:
        """The reference of one batch. IndexError when there is none of this number."""
        if not 0 <= index < self.batch_count:
            raise IndexError(f"batch {index} of a manifest with {self.batch_count} batches")
        group = bisect.bisect_right(self._batches_before, index) - 1
        file, row_group = self._groups[group]
        offset = (index - self._batches_before[group]) * self.batch_size
        rows = self._rows_before[group + 1] - self._rows_before[group]
        return BatchRef(
            index=index,
            file_uri=file.uri,
            row_group=row_group,
            offset=offset,
            length=min(self.batch_size, rows - offset),
            first_row=self._rows_before[group] + offset,
        )

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[BatchRef]:
        """References from batch `start` up to `stop`, made as they are asked for."""
        for index in range(start, self.batch_count if stop is None else min(stop, self.batch_count)):
            yield self.batch(index)

    def row_numbers(self, start: int, stop: int) -> range:
        """The rows of the batches from `start` up to `stop`, counted from the start of the manifest."""
        first, last = (
            self.batch(number).first_row if number < self.batch_count else self.row_count for number in (start, stop)
        )
        return range(first, last)

    def read(self, ref: BatchRef) -> BatchRows:
        """The rows of a batch, and nothing of its neighbours but what shares their pages."""
        rows = self._reader.rows(self._files[ref.file_uri], ref.row_group, ref.offset, ref.length)
        return batch_rows(ref, rows, self._duplicates_for(ref.first_row, ref.length))

    def read_many(self, start: int, stop: int) -> RowBlock:
        """The rows of the batches from `start` up to `stop` (at least one), as columns."""
        numbers = self.row_numbers(start, stop)
        rows = Rows.joined(list(self._rows(numbers.start, len(numbers))))
        return row_block(numbers.start, rows, self._duplicates_for(numbers.start, len(numbers)))

    def _rows(self, first: int, length: int) -> Iterator[Rows]:
        """Row group by row group."""
        while length:
            group = bisect.bisect_right(self._rows_before, first) - 1
            file, number = self._groups[group]
            taken = min(length, self._rows_before[group + 1] - first)
            yield self._reader.rows(file, number, first - self._rows_before[group], taken)
            first, length = first + taken, length - taken

    def stream(self, names: Sequence[str]) -> Iterator[Rows]:
        """Some of our columns, from the first row to the last, a few thousand rows at a time, keeping none."""
        reader = RowGroupReader(pa.schema([self.schema.field(name) for name in names]), self._options)
        for file, number in self._groups:
            yield from reader.stream(file, number)

    def duplicate_rows(self) -> Duplicates:
        """The rows whose item_id an earlier row has; scans the ids of the whole manifest at the first call, in bounded memory."""
        with self._lock:
            if self._duplicates is None:
                self._duplicates = self._scan_duplicates(self.row_count)
            return self._duplicates

    def adopt_duplicates(self, duplicates: Duplicates) -> None:
        """Take what another worker has found, instead of scanning again."""
        self._duplicates = duplicates

    def _duplicates_for(self, first_row: int, length: int) -> Repeated:
        """Of these rows. Only earlier rows matter, so the first need not wait for the whole scan."""
        if self._duplicates is None and first_row + length <= _AT_ONCE:
            if self._first_duplicates is None:
                self._first_duplicates = self._scan_duplicates(_AT_ONCE)
            return self._first_duplicates.within(first_row, length)
        return self.duplicate_rows().within(first_row, length)

    def _scan_duplicates(self, most: int) -> Duplicates:
        complete = all(file.ids_are_complete for file in self._layout.files)
        columns = ["item_id"] if complete else MANIFEST_SCHEMA.names
        schema = pa.schema([pa.field("row", pa.int64()), *(self.schema.field(name) for name in columns)])
        return find_duplicates(self._stream(schema, most), min(most, self.row_count))

    def _stream(self, schema: pa.Schema, most: int) -> Iterator[pa.RecordBatch]:
        """Row numbers and some of our columns, from the first row on; `most` rows or a few more."""
        reader = RowGroupReader(schema.remove(0), self._options)
        row = 0
        for file, number in self._groups:
            for rows in reader.stream(file, number):
                numbers = pa.array(np.arange(row, row + len(rows.table)))
                yield from pa.Table.from_arrays([numbers, *rows.table.columns], schema=schema).to_batches()
                row += len(rows.table)
                if row >= most:
                    return
