"""Which finished runs hold rows that are worth another try, from the run folders alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import fsspec
from pydantic import ValidationError

from manifests import ErrorCode, State
from manifests.errors import RunFolderError
from manifests.run_folder import RunFolder
from manifests.storage import is_local, locate
from manifests.summary import read_summary
from tasks.config import CleanupConfig
from tasks.config.upkeep import RetryDeferredConfig

WORTH_ANOTHER_TRY: Final = frozenset(
    {ErrorCode.OUT_OF_CREDITS, ErrorCode.PROVIDER_UNAVAILABLE, ErrorCode.DEADLINE_REACHED, ErrorCode.INTERRUPTED}
)
"""What time alone may mend. A budget that is reached and an operation that nobody offers need a person."""

_DATE: Final = re.compile(r"\{scheduled[^{}]*\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeferredRun:
    """One finished run with deferred rows. Exactly one of `config` and `why_not` is set."""

    run_id: str
    folder_uri: str
    finished_at: datetime  # UTC, when its summary was written
    deferred: int  # rows
    causes: Mapping[ErrorCode, int]  # of its rows that did not succeed
    config: CleanupConfig | None = None  # as it ran, so that a retry keeps its budget
    why_not: str = ""

    @property
    def waiting(self) -> int:
        """Rows that another try may finish."""
        return min(self.deferred, sum(count for code, count in self.causes.items() if code in WORTH_ANOTHER_TRY))


def find_deferred(config: RetryDeferredConfig, *, now: datetime) -> list[DeferredRun]:
    """Every run below `config.to` that is young enough and has deferred rows, newest first; what cannot be read is named.

    Raises:
        ManifestError: this kind of address cannot be opened.
        OSError: the place itself cannot be listed.
    """
    fs, root = locate(_DATE.sub("*", config.to).rstrip("/"))
    fs.invalidate_cache()
    since = now - timedelta(seconds=config.max_age_s)
    paths = (str(path) for path in fs.glob(f"{root}/run_id=*/summary.json"))
    found = [run for path in paths if (run := _look(fs, path, since)) is not None]
    return sorted(found, key=lambda run: (run.finished_at, run.run_id), reverse=True)


def choose(runs: Sequence[DeferredRun], config: RetryDeferredConfig) -> list[DeferredRun]:
    """Those to take up now."""
    return [run for run in runs if run.waiting and run.config is not None][: config.max_runs]


def _look(fs: fsspec.AbstractFileSystem, summary_path: str, since: datetime) -> DeferredRun | None:
    finished_at = _modified(fs, summary_path)
    if finished_at < since:
        return None
    path = summary_path.rpartition("/")[0]
    uri = path if is_local(fs) else str(fs.unstrip_protocol(path))
    causes: Mapping[ErrorCode, int] = {}
    config, deferred, why_not = None, 0, ""
    try:
        folder = RunFolder(uri)
        summary = read_summary(folder)
        deferred, causes = summary.by_state.get(State.DEFERRED, 0), summary.by_error_code
        if not deferred:
            return None
        config = CleanupConfig.model_validate({**folder.read_config(), "run_id": folder.run_id})
    except (RunFolderError, ValidationError, OSError, ValueError, KeyError, TypeError) as error:
        why_not = f"its summary.json or run.json cannot be used: {error}"
    return DeferredRun(
        run_id=path.rpartition("run_id=")[2],
        folder_uri=uri,
        finished_at=finished_at,
        deferred=deferred,
        causes=causes,
        config=config,
        why_not=why_not,
    )


def _modified(fs: fsspec.AbstractFileSystem, path: str) -> datetime:
    moment: datetime = fs.modified(path)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
