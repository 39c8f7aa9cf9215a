"""A results manifest as the store of earlier outcomes: any stretch of its rows, by their number."""

import bisect
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa

from manifests.columns import ColumnPlan
from manifests.errors import RunFolderError
from manifests.layout import ManifestFile, open_parquet
from manifests.row_groups import RowGroupReader
from manifests.storage import StorageOptions, locate, shown

ROUNDS_KEY: Final = b"cleanplate.rounds"


class StoredResults:
    """One results.parquet whose footer has been read. Safe for threads; pickles small."""

    def __init__(self, file: ManifestFile, schema: pa.Schema, rounds: int, options: StorageOptions | None) -> None:
        self.schema = schema
        self.rounds = rounds  # how often it has been written
        self._file, self._options = file, options
        self._before = [0, *accumulate(file.row_groups)]
        self._reader = RowGroupReader(schema, options)
        self._states = RowGroupReader(pa.schema([schema.field(name) for name in ("item_id", "state")]), options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Without its open files."""
        return StoredResults, (self._file, self.schema, self.rounds, self._options)

    @classmethod
    def open(cls, uri: str, options: StorageOptions | None = None) -> "StoredResults | None":
        """None when there is no such file.

        Raises:
            RunFolderError: it is there, and no results manifest.
        """
        fs, path = locate(uri, options)
        if not fs.exists(path):
            return None
        try:
            with open_parquet(uri, options) as parquet:
                metadata, schema = parquet.metadata, parquet.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise RunFolderError(f"{shown(uri)}: cannot be read: {error}") from error
        if not {"item_id", "state"}.issubset(schema.names):
            raise RunFolderError(f"{shown(uri)}: not a results manifest: it lacks item_id or state")
        file = ManifestFile(
            uri=uri,
            row_groups=tuple(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)),
            plan=ColumnPlan(ours={}, foreign={name: name for name in schema.names}, foreign_fields=tuple(schema)),
            ids_are_complete=True,
        )
        rounds = int((schema.metadata or {}).get(ROUNDS_KEY, 1))
        return cls(file, schema.remove_metadata(), rounds, options)

    @property
    def row_count(self) -> int:
        """Rows in all."""
        return self._before[-1]

    def rows(self, first: int, length: int) -> pa.Table:
        """`length` rows from row `first`. RunFolderError when there are not so many."""
        if first + length > self.row_count:
            raise RunFolderError(
                f"{shown(self._file.uri)}: has {self.row_count} rows, and row {first + length - 1} is asked for: "
                "the manifest has changed since this run began; start a new run with another --run-id"
            )
        return pa.concat_tables(self._stretches(self._reader, first, length))

    def states(self, first: int, length: int) -> pa.Table:
        """`item_id` and `state` alone of those rows. RunFolderError as `rows`."""
        if first + length > self.row_count:
            return self.rows(first, length)
        return pa.concat_tables(self._stretches(self._states, first, length))

    def _stretches(self, reader: RowGroupReader, first: int, length: int) -> Iterator[pa.Table]:
        while length:
            group = bisect.bisect_right(self._before, first) - 1
            taken = min(length, self._before[group + 1] - first)
            yield reader.rows(self._file, group, first - self._before[group], taken).table
            first, length = first + taken, length - taken
