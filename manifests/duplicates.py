"""Rows whose item_id an earlier row has already: found for the whole manifest in one scan, out of core."""

import contextlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.id_hashes import RECORD, IdHasher, NumberedId, Records
from manifests.storage import StorageOptions, locate, published_file

_MOST_FILE_BITS: Final = 8  # 256 files open at once
_ROWS_A_FILE: Final = 500_000
_REPEATED: Final = np.dtype([*RECORD.descr, ("first", "<i8"), ("nth", "<i4")])


@dataclass(frozen=True, kw_only=True, eq=False)
class Duplicates:
    """The rows that repeat an earlier one's item_id, ascending. Three arrays of one length; empty for a clean manifest."""

    rows: NDArray[np.int64]  # from the start of the manifest
    first_rows: NDArray[np.int64]  # who has the id rightfully
    nth: NDArray[np.int32]  # 2 = the second with this id

    def within(self, first_row: int, length: int) -> dict[int, tuple[int, int]]:
        """Those in a stretch of rows: row → (first row, nth)."""
        start, stop = np.searchsorted(self.rows, [first_row, first_row + length])
        columns = (column[start:stop].tolist() for column in (self.rows, self.first_rows, self.nth))
        return {row: (first, nth) for row, first, nth in zip(*columns, strict=True)}

    def save(self, uri: str, options: StorageOptions | None = None) -> None:
        """Write them down for other workers."""
        table = pa.table({"row": self.rows, "first_row": self.first_rows, "nth": self.nth})
        with published_file(uri, options) as path:
            pq.write_table(table, path)

    @classmethod
    def load(cls, uri: str, options: StorageOptions | None = None) -> "Duplicates":
        """What `save` wrote. FileNotFoundError when it did not."""
        fs, path = locate(uri, options)
        with fs.open(path, "rb") as file:
            table = pq.read_table(file)
        rows, first_rows, nth = (table[name].to_numpy() for name in ("row", "first_row", "nth"))
        return cls(rows=rows, first_rows=first_rows, nth=nth)


def find_duplicates(stream: Iterable[pa.RecordBatch], row_count: int) -> Duplicates:
    """`stream` holds the manifest's rows in order, each batch as `IdHasher` takes it.

    Rows are spread by their id's hash over files of about half a million, and each file is sorted by itself; so memory depends
    on the number of duplicates, not of rows. Ids count as equal when their 128 bits of hash are.
    A derived id that repeats is told apart by its number; a given id that repeats, or equals such a numbered one, is a duplicate.
    """
    bits = min(_MOST_FILE_BITS, (row_count // _ROWS_A_FILE).bit_length())
    numbered: list[NumberedId] = []
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as folder:
        paths = [Path(folder, str(number)) for number in range(1 << bits)]
        with IdHasher() as hasher, contextlib.ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for batch in stream:
                _spread(hasher.records(batch), files, bits)
                numbered += hasher.numbered(batch)
        repeated = np.concatenate([_repeated(np.fromfile(path, RECORD)) for path in paths])
    repeated = np.concatenate([repeated, _equal_to_numbered(numbered, repeated)])
    repeated = repeated[np.argsort(repeated["row"], kind="stable")]
    rows, first_rows, nth = (np.ascontiguousarray(repeated[name]) for name in ("row", "first", "nth"))
    return Duplicates(rows=rows, first_rows=first_rows, nth=nth)


def _spread(records: Records, files: Sequence[BinaryIO], bits: int) -> None:
    """Append each record to the file that the top bits of its hash name."""
    numbers = records["high"] >> np.uint64(64 - bits) if bits else np.zeros_like(records["high"])
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(len(files) + 1, dtype=np.uint64))
    for file, start, stop in zip(files, starts[:-1], starts[1:], strict=True):
        file.write(records[order[start:stop]].tobytes())


def _repeated(records: Records) -> Records:
    """The records whose id an earlier one has, with that one's row and their own number."""
    records = records[np.argsort(records["high"], kind="stable")]
    same = np.zeros(len(records) + 1, bool)
    same[1:-1] = records["high"][1:] == records["high"][:-1]
    records = records[same[1:] | same[:-1]]  # as a rule none; these are told apart by both hashes
    records = records[np.lexsort((records["row"], records["low"], records["high"]))]
    begins = np.ones(len(records), bool)
    begins[1:] = (records["high"][1:] != records["high"][:-1]) | (records["low"][1:] != records["low"][:-1])
    numbers = np.arange(len(records))
    begun_at = np.maximum.accumulate(np.where(begins, numbers, 0))
    return _with(records, first=records["row"][begun_at], nth=numbers - begun_at + 1)[~begins]


def _equal_to_numbered(numbered: Sequence[NumberedId], repeated: Records) -> Records:
    """Rows whose given id is the one that some derived row gets by its number."""
    if not numbered:
        return repeated[:0]
    derived = repeated[repeated["derived"]]
    names = zip(*(derived[name].tolist() for name in ("high", "low", "nth", "row")), strict=True)
    row_of = {((high, low), nth): row for high, low, nth, row in names}
    known = set(repeated["row"].tolist())
    found = [
        (one.row, row_of[one.base, one.nth])
        for one in numbered
        if (one.base, one.nth) in row_of and one.row not in known
    ]
    records = np.zeros(len(found), RECORD)
    records["row"] = [row for row, _ in found]
    return _with(records, first=np.array([first for _, first in found], np.int64), nth=np.full(len(found), 2))


def _with(records: Records, *, first: NDArray[np.int64], nth: NDArray[np.int64]) -> Records:
    found = np.empty(len(records), _REPEATED)
    for name in RECORD.names or ():
        found[name] = records[name]
    found["first"], found["nth"] = first, nth
    return found
