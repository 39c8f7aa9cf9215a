"""Ctrl-C and SIGTERM stop new work; what was sent is settled, and the results are written all the same."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from prefect.logging import get_run_logger

from flows.task_runner import runs_here
from manifests.error_codes import ErrorCode
from tasks.editing.errors import StoppedError
from tasks.editing.planned_run import PlannedRun
from tasks.editing.runtimes import runtime_of
from tasks.editing.stop_word import say_stop


@contextmanager
def stop_gracefully_on_signals(plan: PlannedRun) -> Iterator[None]:
    """While inside, the first signal asks the run to stop; a second one goes to whoever handled it before."""

    def stop() -> None:
        with suppress(StoppedError):  # it has ended already
            runtime_of(plan).stop(ErrorCode.INTERRUPTED)
        if not runs_here():  # in a thread: this is a signal handler, and the run folder may be in a bucket
            threading.Thread(target=say_stop, args=(plan,), daemon=True).start()

    with calling_on_signals(stop):
        yield


@contextmanager
def calling_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, the first signal calls `stop`; a second one goes to whoever handled it before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals; a worker's own process has the flow there
        return
    logger = get_run_logger()
    previous = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, previous[number])
        logger.warning("stopping: nothing new is sent, what is under way is settled, then the results are written")
        stop()

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
