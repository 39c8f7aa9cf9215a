"""The folder of one run, and the parts from which its results manifest is made.

    <to>/run_id=<id>/
        results.parquet    one row per row of the manifest; appears whole, when a run or a retry ends
        images/            delivered pictures
        summary.json  report.html
        run.json           the run's configuration, so that `cleanplate retry` can go on
        _parts/            gone when results.parquet is there
            round-0/000000/batch-000012.parquet    outcomes of one batch; a thousand batches a folder
            round-0/stretches/                     outcomes that were known without work, many batches a file (stretches.py)
            quality_sharpness                      an empty marker: some part has this metric beyond the documented ones

A round is what happens between two writings of results.parquet, whose footer counts them: parts that a killed process
left behind after its results were published belong to an earlier round, and are never taken for new ones.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.batch_rows import BatchRows
from manifests.errors import RunFolderError
from manifests.items import BatchRef, batch_id
from manifests.outcomes import Outcome
from manifests.results import DOCUMENTED_METRICS, beside, extra_metrics, metrics_of, outcomes_of, results_table
from manifests.storage import StorageOptions, join, locate, publish_bytes, shown
from manifests.stored_results import StoredResults
from manifests.stretches import Stretches, runs_of

RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BATCHES_A_FOLDER: Final = 1000
_PART: Final = re.compile(r"batch-(\d+)\.parquet")


class RunFolder:
    """Addresses, parts and configuration of one run. Creating the object touches nothing; pickles small."""

    def __init__(self, uri: str, *, storage_options: StorageOptions | None = None) -> None:
        self.uri = uri.rstrip("/")
        name = self.uri.rpartition("/")[2]
        self.run_id = name.removeprefix("run_id=")
        if not name.startswith("run_id=") or not RUN_ID.fullmatch(self.run_id):
            raise RunFolderError(
                f"{shown(uri)}: not a run folder: its name must be run_id=<id>, letters, digits, dot, dash and underscore"
            )
        self.storage_options = storage_options
        self.images_uri = join(self.uri, "images")
        self.results_uri = join(self.uri, "results.parquet")
        self.summary_uri = join(self.uri, "summary.json")
        self.report_uri = join(self.uri, "report.html")
        self.config_uri = join(self.uri, "run.json")
        self._markers_written: set[str] = set()

    @classmethod
    def under(cls, to: str, run_id: str, *, storage_options: StorageOptions | None = None) -> "RunFolder":
        """The folder of a run below the place that `--to` names."""
        return cls(join(to, f"run_id={run_id}"), storage_options=storage_options)

    def manifest_uri(self, original: str) -> str:
        """What to open as this run's manifest: its own results once they exist (they hold all rows, whatever became of the original)."""
        return self.results_uri if self.stored_results else original

    def image_uri(self, item_id: str, suffix: str) -> str:
        """Where an item's delivered picture goes; `suffix` with its dot."""
        return join(self.images_uri, f"{item_id}{suffix}")

    def refused_uri(self, name: str) -> str:
        """Where a refused result is kept for review."""
        return join(self.uri, "refused", name)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Keep the run's configuration; `config` must be JSON and hold no secret."""
        publish_bytes(self.config_uri, json.dumps(config, indent=2).encode(), self.storage_options)

    def read_config(self) -> dict[str, Any]:
        """What `write_config` kept. RunFolderError when this is no run folder."""
        fs, path = locate(self.config_uri, self.storage_options)
        try:
            config: dict[str, Any] = json.loads(fs.cat_file(path))
        except FileNotFoundError:
            raise RunFolderError(f"{shown(self.uri)}: no run began here: run.json is missing") from None
        except ValueError as error:
            raise RunFolderError(f"{shown(self.config_uri)}: is damaged: {error}") from None
        return config

    def write_part(self, rows: BatchRows, outcomes: Sequence[Outcome]) -> None:
        """Record the outcomes of a batch, all or nothing; a part written before for the same batch is replaced."""
        self._mark_metrics(extra_metrics(outcomes))
        table = results_table(rows, outcomes, self.run_id)
        place = {"first_row": str(rows.ref.first_row), "rows": str(rows.ref.length)}
        sink = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(place), sink)
        publish_bytes(self.part_uri(rows.ref.index), sink.getvalue(), self.storage_options)

    def read_part(self, index: int, *, first_row: int, length: int) -> pa.Table | None:
        """A batch's rows with their outcomes, of this round; None when the batch has not been worked on.

        Raises:
            RunFolderError: the part was written for other rows, so the manifest is not the one this run began with.
        """
        fs, path = locate(self.part_uri(index), self.storage_options)
        try:
            table = pq.read_table(pa.BufferReader(fs.cat_file(path)))
        except FileNotFoundError:
            return None
        except (pa.ArrowInvalid, OSError) as error:
            raise RunFolderError(
                f"{shown(self.part_uri(index))}: is damaged: remove it, and its batch is done again ({error})"
            ) from error
        place = table.schema.metadata or {}
        if (place.get(b"first_row"), place.get(b"rows")) != (str(first_row).encode(), str(length).encode()):
            raise RunFolderError(
                f"{shown(self.part_uri(index))}: was written for other rows: the manifest has changed since this run began; "
                "put it back, or start a new run with another --run-id"
            )
        return table

    def read_outcomes(self, rows: BatchRows) -> tuple[Outcome, ...] | None:
        """What became of a batch so far: from its part, else from the results of an earlier round, else None.

        Raises:
            RunFolderError: the recorded items are others than those of `rows`.
        """
        ref = rows.ref
        table = self.read_part(ref.index, first_row=ref.first_row, length=ref.length)
        if table is None and self.stored_results:
            table = self.stored_results.rows(ref.first_row, ref.length)
        if table is None:
            return None
        self._require_same_items(table, rows)
        return outcomes_of(table)

    def _require_same_items(self, table: pa.Table, rows: BatchRows) -> None:
        recorded, given = table["item_id"].to_pylist(), rows.table["item_id"].to_pylist()
        for index, (before, now) in enumerate(zip(recorded, given, strict=True)):
            if before != now:
                raise RunFolderError(
                    f"{shown(self.uri)}: row {rows.ref.first_row + index} was item {before} and is now {now}: the manifest "
                    "has changed since this run began; put it back, or start a new run with another --run-id"
                )

    @cached_property
    def stored_results(self) -> StoredResults | None:
        """The results manifest of the earlier rounds; None before the first has ended."""
        return StoredResults.open(self.results_uri, self.storage_options)

    @property
    def parts_uri(self) -> str:
        """Where the parts of all rounds lie."""
        return join(self.uri, "_parts")

    @property
    def stretches(self) -> Stretches:
        """Those of the present round."""
        return Stretches(join(self._round_uri(), "stretches"), self.storage_options)

    def write_stretch(self, batches: Sequence[BatchRef], table: pa.Table, outcomes: pa.Table) -> None:
        """Record the outcomes (`results.outcomes_table`) of many batches, ascending, in one file, all or nothing. `table`: their rows."""
        self._mark_metrics(metrics_of(outcomes.schema) - DOCUMENTED_METRICS)
        names = pa.array([batch_id(self.run_id, ref) for ref in batches], pa.string())
        lengths = [ref.length for ref in batches]
        ids = names.take(pa.array(np.repeat(np.arange(len(batches)), lengths)))
        runs = runs_of((ref.index, ref.first_row, ref.length) for ref in batches)
        self.stretches.write(runs, beside(table, outcomes, self.run_id, ids))

    def part_uri(self, index: int) -> str:
        """Where the part of a batch of the present round lies."""
        return join(self._group_uri(index // _BATCHES_A_FOLDER), f"batch-{index:06d}.parquet")

    def _round_uri(self) -> str:
        done = self.stored_results.rounds if self.stored_results else 0
        return join(self.parts_uri, f"round-{done}")

    def _group_uri(self, group: int) -> str:
        return join(self._round_uri(), f"{group * _BATCHES_A_FOLDER:06d}")

    def part_indices(self, start: int, stop: int) -> Iterator[int]:
        """Numbers of the batches from `start` to `stop` that have a part, ascending; lists a folder at a time."""
        for group in range(start // _BATCHES_A_FOLDER, -(-stop // _BATCHES_A_FOLDER)):
            found = (_PART.fullmatch(name) for name in self._names(self._group_uri(group)))
            indices = sorted(int(match[1]) for match in found if match)
            yield from (index for index in indices if start <= index < stop)

    def marked_metrics(self) -> frozenset[str]:
        """Quality metrics beyond the documented ones that some part may hold."""
        return frozenset(
            name.removeprefix("quality_") for name in self._names(self.parts_uri) if name.startswith("quality_")
        )

    def _mark_metrics(self, names: frozenset[str]) -> None:
        for name in names - self._markers_written:
            publish_bytes(join(self.parts_uri, f"quality_{name}"), b"", self.storage_options)
            self._markers_written.add(name)

    def _names(self, uri: str) -> list[str]:
        fs, path = locate(uri, self.storage_options)
        fs.invalidate_cache(path)
        try:
            return [one.rstrip("/").rpartition("/")[2] for one in fs.ls(path, detail=False)]
        except FileNotFoundError:
            return []

    def forget_parts(self) -> None:
        """Remove the parts of all rounds: their content is in results.parquet."""
        fs, path = locate(self.parts_uri, self.storage_options)
        if fs.exists(path):
            fs.rm(path, recursive=True)
        self.__dict__.pop("stored_results", None)
        self._markers_written.clear()
