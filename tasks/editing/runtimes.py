"""This process's runtimes, one a start of a run: made at first use, found again by every batch, closed when the run ends.

A process that was only given batches (a worker of Dask or Ray) is never told that the run has ended. There a keeper closes
the runtime when no batch has come for a while, and listens for the word to stop.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.config import Settings, load_settings
from tasks.editing.errors import StoppedError
from tasks.editing.planned_run import PlannedRun
from tasks.editing.progress import Progress, ProgressSnapshot
from tasks.editing.runtime import Runtime
from tasks.editing.stop_word import stop_was_said

LISTEN_EVERY_S: Final = 2.0
IDLE_S: Final = 60.0  # longer than a batch's way through a busy cluster's queue

_runtimes: dict[str, Runtime] = {}
_ended: set[str] = set()
_progress: Progress | None = (
    None  # of the runtime that was made last; it outlives it, for the last word on how the run went
)
_lock = threading.Lock()


def runtime_of(plan: PlannedRun, load: Callable[[], Settings] = load_settings) -> Runtime:
    """This process's runtime for a run, made at first use: by the flow's process, or by a worker that got a batch.

    `load`: reads the settings; from above come those that hold keys out of Prefect's Secret blocks.

    Raises:
        StoppedError: the run has ended here; a batch that was only about to begin must not begin it anew.
    """
    global _progress  # noqa: PLW0603 - as the registry, one a process
    with _lock:
        if plan.opening in _ended:
            raise StoppedError(ErrorCode.INTERRUPTED)
        if plan.opening not in _runtimes:
            runtime = _runtimes[plan.opening] = Runtime(plan, load())
            _progress = runtime.progress
            if plan.travelled:
                threading.Thread(target=_keep, args=(plan, runtime), name="cleanplate-keeper", daemon=True).start()
        return _runtimes[plan.opening]


def _keep(plan: PlannedRun, runtime: Runtime) -> None:
    while not _close_if_idle(plan, runtime):
        time.sleep(LISTEN_EVERY_S)
        if stop_was_said(plan):
            with _lock:
                if _runtimes.get(plan.opening) is runtime:
                    runtime.stop(ErrorCode.INTERRUPTED)


def _close_if_idle(plan: PlannedRun, runtime: Runtime) -> bool:
    """Whether it is closed now; a batch that comes later gets another."""
    with _lock:
        if _runtimes.get(plan.opening) is not runtime:
            return True
        if runtime.idle_s < IDLE_S:
            return False
        del _runtimes[plan.opening]
    runtime.close()
    return True


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
    settle = True
    with _lock:
        _ended.discard(plan.opening)
    try:
        yield
    except KeyboardInterrupt:  # the second Ctrl-C: whoever presses it waits for nothing more
        settle = False
        raise
    finally:
        with _lock:
            _ended.add(plan.opening)
            runtime = _runtimes.pop(plan.opening, None)
        if runtime is not None:
            runtime.close(settle=settle)


def _close_all() -> None:
    """A worker's process ends."""
    for runtime in list(_runtimes.values()):
        runtime.close()


# Before threads can no longer be started, which closing needs: `atexit` comes after that.
threading._register_atexit(_close_all)  # type: ignore[attr-defined]
