"""Parts that hold many batches at once: for stretches of a manifest whose outcomes are known without any work.

    _parts/round-0/stretches/000400-000800.parquet    some batches of those from 400 up to 800

Which ones is written in the footer, as runs of batch numbers. A batch stands in one stretch at most, and has no part of its own.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import RunFolderError
from manifests.layout import open_parquet
from manifests.storage import StorageOptions, join, locate, publish_bytes, shown

_NAME: Final = re.compile(r"(\d+)-(\d+)\.parquet")
_FOOTERS_AT_ONCE: Final = 8
_RUNS: Final = b"cleanplate.runs"


@dataclass(frozen=True, slots=True)
class Run:
    """Batches `start` up to `stop`, with all rows between."""

    start: int
    stop: int
    first_row: int  # rows, from the start of the manifest
    rows: int


class Stretches:
    """Those of one round of one run folder."""

    def __init__(self, uri: str, options: StorageOptions | None) -> None:
        """`uri`: their folder, which need not be there."""
        self._uri = uri
        self._options = options

    def write(self, runs: Sequence[Run], table: pa.Table) -> None:
        """Keep the rows of these runs, which follow each other in `table`; all or nothing."""
        facts = json.dumps([astuple(run) for run in runs]).encode()
        sink = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({_RUNS: facts}), sink, compression="zstd")
        name = f"{runs[0].start:06d}-{runs[-1].stop:06d}.parquet"
        publish_bytes(join(self._uri, name), sink.getvalue(), self._options)

    def covered(self, start: int, stop: int) -> Iterator[range]:
        """Numbers of the batches from `start` to `stop` that stand in a stretch, ascending; reads footers alone."""
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            for runs in pool.map(self._footer, self._names(start, stop)):
                inside = (range(max(run.start, start), min(run.stop, stop)) for run in runs)
                yield from filter(None, inside)

    def tables(self) -> Iterator[tuple[Run, pa.Table]]:
        """Every run with its rows, ascending; one file in memory at a time."""
        for name in self._names(0, 1 << 62):
            with self._readable(name), self._open(name) as file:
                runs, table = self._runs(name, file), file.read(use_threads=False)
            if len(table) != sum(run.rows for run in runs):
                raise RunFolderError(
                    f"{shown(join(self._uri, name))}: is damaged: remove it, and its rows are looked up again"
                )
            first = 0
            for run in runs:
                yield run, table.slice(first, run.rows).replace_schema_metadata(None)
                first += run.rows

    def _names(self, start: int, stop: int) -> list[str]:
        fs, path = locate(self._uri, self._options)
        fs.invalidate_cache(path)
        try:
            found = [one.rstrip("/").rpartition("/")[2] for one in fs.ls(path, detail=False)]
        except FileNotFoundError:
            return []
        spans = ((int(match[1]), int(match[2]), match[0]) for name in found if (match := _NAME.fullmatch(name)))
        return [name for first, last, name in sorted(spans) if first < stop and last > start]

    def _footer(self, name: str) -> list[Run]:
        with self._readable(name), open_parquet(join(self._uri, name), self._options) as file:
            return self._runs(name, file)

    def _open(self, name: str) -> pq.ParquetFile:
        fs, path = locate(join(self._uri, name), self._options)
        return pq.ParquetFile(pa.BufferReader(fs.cat_file(path)))

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise RunFolderError(
                f"{shown(join(self._uri, name))}: is damaged: remove it, and its rows are looked up again ({error})"
            ) from error

    @staticmethod
    def _runs(name: str, file: pq.ParquetFile) -> list[Run]:
        try:
            return [Run(*facts) for facts in json.loads(file.schema_arrow.metadata[_RUNS])]
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f"{name}: is no stretch of this run: remove it") from error


def runs_of(batches: Iterable[tuple[int, int, int]]) -> list[Run]:
    """Neighbours joined: (number, first row, rows) of batches, ascending → runs."""
    runs: list[Run] = []
    for number, first_row, rows in batches:
        if runs and runs[-1].stop == number:
            last = runs.pop()
            runs.append(Run(last.start, number + 1, last.first_row, last.rows + rows))
        else:
            runs.append(Run(number, number + 1, first_row, rows))
    return runs
