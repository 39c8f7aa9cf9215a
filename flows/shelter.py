"""Children that outlast Ctrl-C: a terminal signals every process of a command, and a run needs its helpers to settle what it sent."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sheltered_from_ctrl_c() -> Iterator[None]:
    """Processes and threads that are started inside inherit a blocked SIGINT, whatever handler of their own they set. SIGTERM reaches them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
