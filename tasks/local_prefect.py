"""A Prefect server of one's own on this machine, for as long as it is needed."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import httpx

START_S: Final = 180.0  # the first start migrates its database, and the machine may be busy
_STOP_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.25


class LocalPrefectError(Exception):
    """The server did not start; the message holds the end of what it said."""


@contextlib.contextmanager
def local_prefect(
    *, port: int = 0, environment: Mapping[str, str] | None = None, log: Path | None = None, start_s: float = START_S
) -> Iterator[str]:
    """A Prefect server with its scheduler and automations on loopback while the block lasts; yields the address of its API.

    Args:
        port: 0 for any free one.
        environment: added to this process's, such as PREFECT_HOME or PREFECT_API_DATABASE_CONNECTION_URL.
        log: where it writes; None: nowhere.
        start_s: how long it may take to answer.

    Raises:
        LocalPrefectError: it ended at once, or did not answer in time.
    """
    port = port or _free_port()
    api = f"http://127.0.0.1:{port}/api"
    with open(log or os.devnull, "ab") as output:
        process = _start(port, api, environment or {}, output)
        try:
            _wait_until_healthy(process, api, start_s, log)
            yield api
        finally:
            _stop(process)


def _start(port: int, api: str, environment: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    own = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_API_URL": api,  # else the page asks port 4200
    }
    inherited = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env={**inherited, **own, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for whoever started us: the server goes last
    )


def _wait_until_healthy(process: subprocess.Popen[bytes], api: str, start_s: float, log: Path | None) -> None:
    until = time.monotonic() + start_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise LocalPrefectError(f"the Prefect server ended with code {process.returncode}{_said(log)}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{api}/health", timeout=2).status_code == 200:
                return
        time.sleep(_LOOK_EVERY_S)
    raise LocalPrefectError(f"the Prefect server did not answer within {start_s:g} s{_said(log)}")


def _said(log: Path | None) -> str:
    if log is None or not log.is_file():
        return ""
    return ":\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
