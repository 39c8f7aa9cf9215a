"""The runs that the dashboard shows: found, opened, and looked at again when files change."""

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fsspec.implementations.local import LocalFileSystem

from tasks.report.dashboard.recent import Recent
from tasks.report.dashboard.rows import rows_by_key
from tasks.report.database import FILE, ROW, Database
from tasks.report.places import FoundRun, ResultsNotFoundError, find_runs

_LOCAL_REFRESH_S: Final = 3.0
_LAST_LOOK_S: Final = 10.0
_REMOTE_REFRESH_S: Final = 30.0  # a listing costs requests there


@dataclass(eq=False)
class Snapshot:
    """Some runs at one moment. Replaced whole when files change, never changed itself."""

    runs: Sequence[FoundRun]
    database: Database
    answers: Recent[Hashable, Any] = field(default_factory=lambda: Recent(256))
    _rows: Recent[tuple[str, int], dict[str, Any] | None] = field(default_factory=lambda: Recent(5_000))

    def __post_init__(self) -> None:
        self.by_key: Mapping[str, FoundRun] = {run.key: run for run in self.runs}
        self.by_file: Mapping[str, FoundRun] = {run.results_uri: run for run in self.runs}

    @property
    def catalogs(self) -> list[str]:
        """The folders that hold runs."""
        return sorted({run.catalog for run in self.runs})

    def files(self, *, key: str = "", catalog: str = "") -> tuple[str, ...] | None:
        """The results of one run, or of a catalog; None: of all. A run that is not there has none."""
        if key:
            return (self.by_key[key].results_uri,) if key in self.by_key else ()
        return tuple(run.results_uri for run in self.runs if run.catalog == catalog) if catalog else None

    def row(self, key: str, number: int) -> dict[str, Any] | None:
        """One row by its run and place; None when it is not there."""
        run = self.by_key.get(key)
        if run is None:
            return None
        place = (run.results_uri, number)
        return self._rows.get(place, lambda: next(iter(rows_by_key(self.database, [place])), None))

    def seen(self, rows: Sequence[dict[str, Any]]) -> None:
        """Rows that were just shown: their pictures will be asked for next."""
        for row in rows:
            self._rows.keep((row[FILE], row[ROW]), row)


class Library:
    """Hands out the newest snapshot; no page but the first waits for a listing."""

    def __init__(self, uri: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Looks at once.

        Raises:
            ResultsNotFoundError: there is no run at `uri`.
            OSError: the place cannot be read.
        """
        self.uri = uri
        self._clock = clock
        self._refreshing = threading.Lock()
        runs = find_runs(uri)
        self._refresh_s = _LOCAL_REFRESH_S if isinstance(runs[0].fs, LocalFileSystem) else _REMOTE_REFRESH_S
        self._snapshot = Snapshot(runs, Database(runs))
        self._looked_at = clock()

    def snapshot(self) -> Snapshot:
        """The newest known state; looks again in the background when that is due."""
        if self._clock() - self._looked_at > self._refresh_s and self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refresh_and_release, daemon=True, name="library-refresh").start()
        return self._snapshot

    def refresh(self) -> None:
        """Look now; a place that cannot be read at this moment leaves the last state standing."""
        try:
            runs = find_runs(self.uri, known=self._snapshot.runs)
        except (OSError, ResultsNotFoundError):
            return
        finally:
            self._looked_at = self._clock()
        if list(runs) != list(self._snapshot.runs):
            self._snapshot = Snapshot(runs, Database(runs))  # the old one goes when the last page lets go of it

    def close(self) -> None:
        """Give back the database; a look that is under way ends first, and there is none after it."""
        self._refreshing.acquire(timeout=_LAST_LOOK_S)
        self._snapshot.database.close()

    def _refresh_and_release(self) -> None:
        try:
            self.refresh()
        finally:
            self._refreshing.release()
