"""From parts to the results manifest: exactly one row for each row of the manifest, in its order, in bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import RunFolderError
from manifests.items import BatchRef, Item, batch_id
from manifests.outcomes import Outcome
from manifests.reader import Manifest
from manifests.results import align, rejection, results_schema, results_table
from manifests.rows import RowFault
from manifests.run_folder import RunFolder
from manifests.storage import is_local, locate, published_file, shown, sync_to_disk
from manifests.stored_results import ROUNDS_KEY

ROWS_PER_GROUP = 20_000  # a multiple of the batch size, so that results read as a manifest are cut as before
_ASKED_FOR = ("item_id", "state", "error_code", "provider", "cost_usd", "started_at", "finished_at")
"""Columns that queries pick row groups by. Of the others, such as hashes, least and largest would only swell the footer."""
_MOST_SMALL_GROUPS = 1000
_SMALL_GROUP_ROWS = 1000
_BATCHES_AT_ONCE = 40


def merge_results(folder: RunFolder, manifest: Manifest, *, unfinished: Callable[[Item], Outcome]) -> int:
    """Write results.parquet and remove the parts. Returns the number of rows.

    A batch's rows come from its part; else from the results of an earlier round; else they get the outcome that
    `unfinished` gives them (rows that are no item are rejected in any case). Nothing is published unless every row is there.

    Raises:
        RunFolderError: parts or earlier results do not fit the manifest.
    """
    _require_same_size(folder, manifest)
    schema = _schema(folder, manifest)
    pa.default_memory_pool().release_unused()  # what reading and recognising the rows has left
    with published_file(folder.results_uri, folder.storage_options) as path:
        _write(path, schema, _regrouped(_tables(folder, manifest, schema, unfinished), _group_lengths(manifest)))
        written = int(pq.read_metadata(path).num_rows)
        if written != manifest.row_count:
            raise RunFolderError(
                f"{shown(folder.results_uri)}: would have {written} rows for the manifest's {manifest.row_count}; nothing was changed"
            )
        if is_local(locate(folder.results_uri, folder.storage_options)[0]):
            sync_to_disk(path)
    folder.forget_parts()
    return written


def _write(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """A row group a table. The writer, which holds the footer of millions of rows, is gone before that is read."""
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=list(_ASKED_FOR)) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def _require_same_size(folder: RunFolder, manifest: Manifest) -> None:
    stored = folder.stored_results
    if stored and stored.row_count != manifest.row_count:
        raise RunFolderError(
            f"{shown(folder.results_uri)}: has {stored.row_count} rows, the manifest {manifest.row_count}: the manifest has changed "
            "since this run began; put it back, or start a new run with another --run-id"
        )


def _schema(folder: RunFolder, manifest: Manifest) -> pa.Schema:
    stored = folder.stored_results
    old = {name for name in stored.schema.names if name.startswith("quality_")} if stored else set()
    metrics = folder.marked_metrics() | {name.removeprefix("quality_") for name in old}
    rounds = (stored.rounds if stored else 0) + 1
    return results_schema(manifest.schema, metrics).with_metadata({ROUNDS_KEY: str(rounds)})


def _tables(
    folder: RunFolder, manifest: Manifest, schema: pa.Schema, unfinished: Callable[[Item], Outcome]
) -> Iterator[pa.Table]:
    done = 0
    for run, table in folder.stretches.tables():
        yield from _batch_tables(folder, manifest, range(done, run.start), schema, unfinished)
        if run.stop > manifest.batch_count or manifest.batch(run.start).first_row != run.first_row:
            raise RunFolderError(
                f"{shown(folder.uri)}: batches {run.start} to {run.stop} were recorded for other rows: the manifest has changed "
                "since this run began; put it back, or start a new run with another --run-id"
            )
        yield align(table, schema)
        done = run.stop
    yield from _batch_tables(folder, manifest, range(done, manifest.batch_count), schema, unfinished)


def _batch_tables(
    folder: RunFolder, manifest: Manifest, numbers: range, schema: pa.Schema, unfinished: Callable[[Item], Outcome]
) -> Iterator[pa.Table]:
    """The rows of batches that stand in no stretch: from their parts, and what has none in between."""
    start = numbers.start
    for index in folder.part_indices(numbers.start, numbers.stop):
        yield from (align(table, schema) for table in _without_parts(folder, manifest, range(start, index), unfinished))
        ref = manifest.batch(index)
        table = folder.read_part(index, first_row=ref.first_row, length=ref.length)
        if table is None:
            raise RunFolderError(
                f"{shown(folder.part_uri(index))}: vanished while the results were written: is another run at work here?"
            )
        yield align(table, schema)
        start = index + 1
    rest = range(start, numbers.stop)
    yield from (align(table, schema) for table in _without_parts(folder, manifest, rest, unfinished))


def _without_parts(
    folder: RunFolder, manifest: Manifest, numbers: range, unfinished: Callable[[Item], Outcome]
) -> Iterator[pa.Table]:
    """The rows of batches that were not worked on in this round, many batches at a time."""
    for refs in _neighbours(manifest.batches(numbers.start, numbers.stop)):
        length = sum(ref.length for ref in refs)
        if folder.stored_results:
            yield folder.stored_results.rows(refs[0].first_row, length)
            continue
        rows = manifest.read(replace(refs[0], length=length))
        outcomes = [rejection(item) if isinstance(item, RowFault) else unfinished(item) for item in rows.items]
        ids = [name for ref in refs for name in [batch_id(folder.run_id, ref)] * ref.length]
        yield results_table(rows, outcomes, folder.run_id, ids)


def _neighbours(refs: Iterator[BatchRef]) -> Iterator[list[BatchRef]]:
    """Neighbours of one row group together, up to a bound."""
    for _, group in groupby(refs, key=lambda ref: (ref.file_uri, ref.row_group)):
        while several := list(islice(group, _BATCHES_AT_ONCE)):
            yield several


def _group_lengths(manifest: Manifest) -> Iterator[int]:
    """Where to begin a new row group: batches cut from the results are then those of the manifest, unless its groups are many and tiny."""
    lengths = manifest.row_group_lengths
    tiny = len(lengths) > _MOST_SMALL_GROUPS and manifest.row_count / len(lengths) < _SMALL_GROUP_ROWS
    for length in [manifest.row_count] if tiny else lengths:
        yield from [ROWS_PER_GROUP] * (length // ROWS_PER_GROUP)
        if length % ROWS_PER_GROUP:
            yield length % ROWS_PER_GROUP


def _regrouped(tables: Iterator[pa.Table], lengths: Iterator[int]) -> Iterator[pa.Table]:
    """The same rows in tables of these lengths; rows beyond them come last, for the caller to notice."""
    held: list[pa.Table] = []
    count = 0
    for length in lengths:
        while count < length and (table := next(tables, None)) is not None:
            held.append(table)
            count += len(table)
        whole = pa.concat_tables(held)
        yield whole.slice(0, length)
        held, count = [whole.slice(length)], max(0, count - length)
    yield from (table for table in (*held, *tables) if len(table))
