"""How runs stand that are under way, read from the parts that they write: no ledger and no server is asked."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from posixpath import basename
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import ManifestError
from manifests.reader import open_manifest
from tasks.report.dashboard.ledger_facts import LiveRun
from tasks.report.places import PARTS_FOLDER, FoundRun

_STALE_S: Final = 2.0  # pages ask every three seconds, from each open window
_READ_AT_ONCE: Final = 300  # parts; what is left is read at the next look, so that no look takes long
_COLUMNS: Final = ("state", "cost_usd", "started_at", "finished_at")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One batch's outcomes, added up."""

    rows: int
    delivered: int
    cost_usd: Decimal
    first: datetime | None
    last: datetime | None


class LiveRuns:
    """Adds up parts as they come; each is read once. Shared by threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._parts: dict[str, _Part] = {}  # by path and stamp: a later pass writes a part anew
        self._sizes: dict[str, int | None] = {}
        self._said_at, self._said = float("-inf"), list[LiveRun]()

    def of(self, runs: Sequence[FoundRun]) -> list[LiveRun]:
        """The runs that have parts, which are gone when the results are written."""
        with self._lock:
            if self._clock() - self._said_at > _STALE_S:
                self._said = [self._look(run) for run in runs if run.under_way]
                self._said_at = self._clock()
            return self._said

    def _look(self, run: FoundRun) -> LiveRun:
        parts = list(self._read(run))
        done = sum(part.rows for part in parts)
        items = self._items(run)
        first = min((part.first for part in parts if part.first), default=None)
        last = max((part.last for part in parts if part.last), default=None)
        seconds = (last - first).total_seconds() if first and last else 0.0
        per_s = done / seconds if seconds else None
        return LiveRun(
            run_id=run.run_id,
            items=items,
            done=done,
            delivered=sum(part.delivered for part in parts),
            items_per_min=per_s * 60 if per_s else None,
            finishes_at=last + timedelta(seconds=(items - done) / per_s) if items and per_s and last else None,
            spent_usd=sum((part.cost_usd for part in parts), Decimal(0)),
            budget_usd=_money(run.config.get("budget_usd")),
            last_at=last,
        )

    def _read(self, run: FoundRun) -> Iterator[_Part]:
        unread = _READ_AT_ONCE
        for key, path in _part_files(run):
            if key not in self._parts and unread:
                unread -= 1
                part = _part(run, path)
                if part:
                    self._parts[key] = part
            if key in self._parts:
                yield self._parts[key]

    def _items(self, run: FoundRun) -> int | None:
        if run.path not in self._sizes:
            try:
                self._sizes[run.path] = open_manifest(str(run.config.get("manifest") or "")).row_count
            except (ManifestError, OSError):
                self._sizes[run.path] = None
        return self._sizes[run.path]


def _part_files(run: FoundRun) -> Iterator[tuple[str, str]]:
    """The newest round's parts, with a key that changes when one is written anew."""
    rounds = [path for path in _names(run, f"{run.path}/{PARTS_FOLDER}") if basename(path["name"]).startswith("round-")]
    newest = max(rounds, key=lambda entry: int(basename(entry["name"])[6:] or 0), default=None)
    for group in _names(run, newest["name"]) if newest else ():
        for entry in _names(run, group["name"]):
            if entry["name"].endswith(".parquet") and basename(entry["name"]).startswith("batch-"):
                yield f"{entry['name']} {entry.get('mtime') or entry.get('ETag') or entry.get('size')}", entry["name"]


def _names(run: FoundRun, path: str) -> list[dict[str, Any]]:
    try:
        return list(run.fs.ls(path, detail=True))
    except (FileNotFoundError, NotADirectoryError):  # the run has just ended
        return []


def _part(run: FoundRun, path: str) -> _Part | None:
    try:
        with run.fs.open(path, "rb") as file:
            table = pq.read_table(file, columns=list(_COLUMNS))
    except (OSError, pa.ArrowException):
        return None
    return _Part(
        rows=table.num_rows,
        delivered=pc.sum(pc.equal(table["state"], "succeeded")).as_py() or 0,
        cost_usd=pc.sum(table["cost_usd"]).as_py() or Decimal(0),
        first=pc.min(table["started_at"]).as_py(),
        last=pc.max(table["finished_at"]).as_py(),
    )


def _money(value: object) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
