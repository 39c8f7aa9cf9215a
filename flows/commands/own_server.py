"""Prefect's temporary server, out of Ctrl-C's reach.

A flow without PREFECT_API_URL starts that server itself, as a child in the terminal's own group. Ctrl-C would end it together
with the run, which then cannot say that it has settled: it asks a server that is gone, for minutes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.shelter import sheltered_from_ctrl_c
from flows.task_runner import runs_here


@contextmanager
def own_server() -> Iterator[None]:
    """Start the server that the flow would start, unless there is one already; it ends with this process.

    Workers of Dask or Ray are told its address: each would start one of its own.

    Raises:
        RuntimeError: it did not answer in time.
    """
    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        yield
        return
    server = SubprocessASGIServer()
    with sheltered_from_ctrl_c():
        server.start()
    with temporary_settings({} if runs_here() else {PREFECT_API_URL: server.api_url}):
        yield
