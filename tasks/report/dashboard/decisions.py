"""What reviewers decided, stored in each run's folder as Parquet: append-only, the newest word on an item counts."""

import io
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from posixpath import basename
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from manifests.storage import publish_bytes
from tasks.report.database import duckdb
from tasks.report.places import REVIEW_FOLDER, FoundRun

_NOTE_CHARS: Final = 2_000
_ROWS_A_FILE: Final = 500  # each decision writes its session's file anew; a full one is followed by another
_REREAD_S: Final = 30.0  # other people's decisions are seen after this

DECISION_SCHEMA: Final = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("redo_provider", pa.string()),
        pa.field("note", pa.string(), nullable=False),
        pa.field("output_sha256", pa.string()),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("decided_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)


class Verdict(StrEnum):
    """What a reviewer says of a delivered picture."""

    ACCEPT = "accept"
    REJECT = "reject"
    REDO = "redo"
    NONE = "none"  # taken back


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One word on one item of one run."""

    run_id: str
    item_id: str
    decision: Verdict
    redo_provider: str | None = None  # None: whoever the next run picks
    note: str = ""
    output_sha256: str | None = None  # the very picture that was judged
    reviewer: str = ""
    decided_at: datetime


class DecisionStore:
    """The decisions about any number of runs, and one session's additions. Shared by threads."""

    def __init__(
        self,
        *,
        reviewer: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read or written before it is asked for."""
        self._reviewer, self._now, self._clock = reviewer, now, clock
        self._lock = threading.Lock()
        self._files: dict[str, tuple[str, list[Decision]]] = {}  # run's path → this session's file and what it holds
        self._read: dict[str, tuple[float, dict[str, Decision]]] = {}  # run's path → when, and the newest by item

    def of_run(self, run: FoundRun) -> dict[str, Decision]:
        """The newest word on each item of a run that has one."""
        with self._lock:
            return {item: one for item, one in self._newest(run).items() if one.decision is not Verdict.NONE}

    def of_runs(self, runs: Iterable[FoundRun]) -> list[tuple[FoundRun, Decision]]:
        """The newest word on each item of several runs, oldest first."""
        touched = (run for run in runs if run.reviewed or run.path in self._files)
        found = [(run, one) for run in touched for one in self.of_run(run).values()]
        return sorted(found, key=lambda pair: pair[1].decided_at)

    def decide(
        self,
        run: FoundRun,
        item_id: str,
        decision: Verdict,
        *,
        redo_provider: str | None = None,
        note: str = "",
        output_sha256: str | None = None,
    ) -> Decision:
        """Record a word at once: when this returns, it is in the run's folder, whole.

        Raises:
            OSError: the folder cannot be written; the decision does not count then.
        """
        made = Decision(
            run_id=run.run_id,
            item_id=item_id,
            decision=decision,
            redo_provider=redo_provider if decision is Verdict.REDO else None,
            note=note.strip()[:_NOTE_CHARS],
            output_sha256=output_sha256,
            reviewer=self._reviewer,
            decided_at=self._now(),
        )
        with self._lock:
            newest = self._newest(run)
            self._append(run, made)
            newest[item_id] = made
        return made

    def _newest(self, run: FoundRun) -> dict[str, Decision]:
        when, known = self._read.get(run.path, (float("-inf"), {}))
        if self._clock() - when > _REREAD_S:
            known = {one.item_id: one for one in sorted(_stored(run), key=lambda one: one.decided_at)}
            self._read[run.path] = (self._clock(), known)
        return known

    def _append(self, run: FoundRun, made: Decision) -> None:
        name, rows = self._files.get(run.path, ("", []))
        if not name or len(rows) >= _ROWS_A_FILE:
            name, rows = f"decisions-{made.decided_at:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.parquet", []
        rows = [*rows, made]
        publish_bytes(f"{run.uri}/{REVIEW_FOLDER}/{name}", parquet_bytes(decisions_table(rows)))
        self._files[run.path] = (name, rows)


def decisions_table(decisions: Sequence[Decision]) -> pa.Table:
    """Decisions as they are stored."""
    return pa.Table.from_pylist([asdict(one) for one in decisions], schema=DECISION_SCHEMA)


def _stored(run: FoundRun) -> list[Decision]:
    try:
        names = run.fs.ls(f"{run.path}/{REVIEW_FOLDER}", detail=False)
    except FileNotFoundError:
        return []
    wanted = (path for path in names if basename(path).startswith("decisions-") and path.endswith(".parquet"))
    return [one for path in wanted for one in read_decisions(run.fs, path)]


def read_decisions(fs: AbstractFileSystem, path: str) -> list[Decision]:
    """One file's decisions; a file that is not ours, or torn, holds none."""
    try:
        with fs.open(path, "rb") as file:
            rows = _rows(pq.read_table(file, schema=DECISION_SCHEMA))
        return [Decision(**row | {"decision": Verdict(row["decision"])}) for row in rows]
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return []


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """As `to_pylist`, without importing pandas as that does."""
    with duckdb().connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.from_arrow(table).fetchall()
    return [dict(zip(table.schema.names, row, strict=True)) for row in found]


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as a file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
