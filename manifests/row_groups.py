"""Reading a few rows out of a row group of any size, again and again, without decoding the whole each time."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.columns import conform
from manifests.errors import ManifestError
from manifests.layout import ManifestFile, open_parquet
from manifests.schemas import MANIFEST_SCHEMA
from manifests.storage import StorageOptions, shown

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_WINDOW_BYTES: Final = 4 << 20
_WINDOW_ROWS: Final = 8192
_WINDOWS_KEPT: Final = 8  # neighbours are read by several threads, not quite in order
_CURSORS_KEPT: Final = 4
_FILES_KEPT: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Some rows in the manifest's schema, and what could not be cast: `faults` maps a row of `table` to column and reason."""

    table: pa.Table
    faults: dict[int, tuple[str, str]]

    def slice(self, offset: int, length: int) -> "Rows":
        """A stretch of them, `faults` renumbered."""
        inside = {row - offset: fault for row, fault in self.faults.items() if offset <= row < offset + length}
        return Rows(table=self.table.slice(offset, length), faults=inside)

    @classmethod
    def joined(cls, several: Sequence["Rows"]) -> "Rows":
        """One after the other."""
        if len(several) == 1:
            return several[0]
        starts = accumulate((len(rows.table) for rows in several), initial=0)
        faults = {
            start + row: fault
            for start, rows in zip(starts, several, strict=False)
            for row, fault in rows.faults.items()
        }
        return cls(table=pa.concat_tables([rows.table for rows in several]), faults=faults)


class _Cursor:
    """A row group being decoded front to back, a window at a time."""

    def __init__(self, file: pq.ParquetFile, source: ManifestFile, row_group: int, schema: pa.Schema) -> None:
        metadata = file.metadata.row_group(row_group)
        row_bytes = metadata.total_byte_size // max(metadata.num_rows, 1) + 1
        self.size = max(50, min(_WINDOW_ROWS, _WINDOW_BYTES // row_bytes))
        self.position = 0  # number of the next window
        self._left: int = metadata.num_rows
        self._source, self._schema = source, schema
        self._where = f"{shown(source.uri)}, row group {row_group}"
        inside = set(file.schema_arrow.names)
        columns = [name for name in map(source.plan.source_of, schema.names) if name in inside]
        self._batches: Iterator[pa.RecordBatch] = file.iter_batches(
            self.size, row_groups=[row_group], columns=columns, use_threads=False
        )

    @property
    def exhausted(self) -> bool:
        """True when no window is to come."""
        return self._left == 0

    def skip(self) -> pa.RecordBatch:
        """The next window as the file has it."""
        try:
            batch = next(self._batches, None)
        except (OSError, pa.ArrowException) as error:
            raise ManifestError(f"{self._where}: cannot be read, the file is damaged or gone: {error}") from error
        expected = min(self.size, self._left)
        if batch is None or len(batch) != expected:
            raise ManifestError(f"{self._where}: holds other rows than its footer says: write the file anew")
        self.position += 1
        self._left -= expected
        return batch

    def advance(self) -> Rows:
        """The next window in the manifest's schema."""
        return shape_rows(self.skip(), self._source, self._schema)

    def rest(self) -> Iterator[Rows]:
        """All windows still to come."""
        while not self.exhausted:
            yield self.advance()


class RowGroupReader:
    """Serves rows by file, row group and offset. Remembers the last windows and goes on from where it stopped; safe for threads."""

    def __init__(self, schema: pa.Schema, options: StorageOptions | None) -> None:
        self._schema = schema
        self._options = options
        self._lock = threading.Lock()
        self._files: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._cursors: OrderedDict[tuple[str, int], _Cursor] = OrderedDict()
        self._windows: OrderedDict[tuple[str, int, int], Rows] = OrderedDict()

    def rows(self, source: ManifestFile, row_group: int, offset: int, length: int) -> Rows:
        """Exactly `length` rows from `offset` of a row group."""
        with self._lock:
            size = self._cursor(source, row_group).size
            first, last = offset // size, (offset + length - 1) // size
            windows = [self._window(source, row_group, number) for number in range(first, last + 1)]
        return Rows.joined(windows).slice(offset - first * size, length)

    def stream(self, source: ManifestFile, row_group: int) -> Iterator[Rows]:
        """A whole row group, a few thousand rows at a time, keeping none."""
        return _Cursor(self._file(source.uri), source, row_group, self._schema).rest()

    def _window(self, source: ManifestFile, row_group: int, number: int) -> Rows:
        key = (source.uri, row_group, number)
        if key not in self._windows:
            cursor = self._cursor(source, row_group)
            if cursor.position > number:
                del self._cursors[source.uri, row_group]
                cursor = self._cursor(source, row_group)
            while cursor.position < number:
                cursor.skip()
            _keep(self._windows, key, cursor.advance(), _WINDOWS_KEPT)
            if cursor.exhausted:
                del self._cursors[source.uri, row_group]  # with its buffers
        self._windows.move_to_end(key)
        return self._windows[key]

    def _cursor(self, source: ManifestFile, row_group: int) -> _Cursor:
        key = (source.uri, row_group)
        if key not in self._cursors:
            _keep(self._cursors, key, _Cursor(self._file(source.uri), source, row_group, self._schema), _CURSORS_KEPT)
        self._cursors.move_to_end(key)
        return self._cursors[key]

    def _file(self, uri: str) -> pq.ParquetFile:
        if uri not in self._files:
            _keep(self._files, uri, open_parquet(uri, self._options, for_rows=True), _FILES_KEPT)
        self._files.move_to_end(uri)
        return self._files[uri]


def _keep(memory: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    memory[key] = value
    while len(memory) > most:
        memory.popitem(last=False)


def shape_rows(batch: pa.RecordBatch, source: ManifestFile, schema: pa.Schema) -> Rows:
    """Rows as a file has them → rows in the manifest's schema."""
    partitions = dict(source.partitions)
    columns, faults = [], {}
    for field in schema:
        name = source.plan.source_of(field.name)
        if name is None:
            column = pa.nulls(len(batch), field.type)
        elif name in partitions:
            column = pa.repeat(pa.scalar(partitions[name], pa.string()), len(batch))
        else:
            column = batch.column(name)
        if field.name in MANIFEST_SCHEMA.names:
            column, bad = conform(column, field.type)
            faults.update({row: (field.name, reason) for row, reason in bad.items() if row not in faults})
        elif not column.type.equals(field.type):
            column = column.cast(field.type)  # null → the other files' type
        columns.append(column)
    return Rows(table=pa.Table.from_arrays(columns, schema=schema), faults=faults)
