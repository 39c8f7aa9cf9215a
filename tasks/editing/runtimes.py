"""This process's runtimes, one a run: made at first use, found again by every batch, closed when the run ends."""

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from manifests.error_codes import ErrorCode
from tasks.config import Settings, load_settings
from tasks.editing.errors import StoppedError
from tasks.editing.planned_run import PlannedRun
from tasks.editing.progress import Progress, ProgressSnapshot
from tasks.editing.runtime import Runtime

_runtimes: dict[tuple[str, bool], Runtime] = {}
_ended: set[tuple[str, bool]] = set()
_progress: Progress | None = None  # of the runtime that was made last; it outlives it, for the last word on how the run went
_lock = threading.Lock()


def runtime_of(plan: PlannedRun, load: Callable[[], Settings] = load_settings) -> Runtime:
    """This process's runtime for a run, made at first use: by the flow's process, or by a worker that got a batch.

    `load`: reads the settings; from above come those that hold keys out of Prefect's Secret blocks.

    Raises:
        StoppedError: the run has ended here; a batch that was only about to begin must not begin it anew.
    """
    global _progress  # noqa: PLW0603 - as the registry, one a process
    with _lock:
        key = (plan.folder_uri, plan.retry)
        if key in _ended:
            raise StoppedError(ErrorCode.INTERRUPTED)
        if key not in _runtimes:
            _runtimes[key] = Runtime(plan, load())
            _progress = _runtimes[key].progress
        return _runtimes[key]


def current_progress() -> Progress | None:
    """Of the run that this process works on, or did last; None before it has begun."""
    return _progress


def current_snapshot() -> ProgressSnapshot | None:
    """How the run of this process stands now, or ended."""
    progress = current_progress()
    return None if progress is None else progress.snapshot(time.monotonic())


@contextmanager
def closing_runtime(plan: PlannedRun) -> Iterator[None]:
    """Settle and close this process's runtime when the block ends."""
    key, settle = (plan.folder_uri, plan.retry), True
    with _lock:
        _ended.discard(key)
    try:
        yield
    except KeyboardInterrupt:  # the second Ctrl-C: whoever presses it waits for nothing more
        settle = False
        raise
    finally:
        with _lock:
            _ended.add(key)
            runtime = _runtimes.pop(key, None)
        if runtime is not None:
            runtime.close(settle=settle)


@atexit.register
def _close_all() -> None:
    """A Dask worker is never told that the run has ended."""
    for runtime in list(_runtimes.values()):
        runtime.close()
