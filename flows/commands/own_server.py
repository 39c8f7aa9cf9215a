"""Prefect's temporary server, out of Ctrl-C's reach: a terminal signals every process of the command, and a run needs it to the end.

A flow without PREFECT_API_URL starts that server itself, as a child in the terminal's own group. Ctrl-C would end it together
with the run, which then cannot say that it has settled: it asks a server that is gone, for minutes.
"""

import signal
import threading

from prefect.settings import get_current_settings


def start_own_server() -> None:
    """Start the server that the flow would start, unless there is one already; it ends with this process.

    It inherits a blocked SIGINT from the thread that starts it: uvicorn's own handler never hears of it. SIGTERM stays
    as it is, for that is how Prefect ends it.

    Raises:
        RuntimeError: it did not answer in time.
    """
    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        return
    failures: list[Exception] = []
    starter = threading.Thread(target=_start, args=(failures,), daemon=True)
    starter.start()
    starter.join()
    if failures:
        raise failures[0]


def _start(failures: list[Exception]) -> None:
    from prefect.server.api.server import SubprocessASGIServer

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        SubprocessASGIServer().start()
    except Exception as error:  # noqa: BLE001 - raised again by whoever waits for this thread
        failures.append(error)
