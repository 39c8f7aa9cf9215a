"""A Prefect server of our own, for benchmarks that compare with Prefect's."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

START_S = 120


@contextmanager
def prefect_server() -> Iterator[tuple[dict[str, str], Callable[[int, float], str]]]:
    """The environment in which it is used, and how to create a rate limit there (slots, slots a second → name)."""
    with tempfile.TemporaryDirectory(prefix="prefect-", ignore_cleanup_errors=True) as home:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        api = f"http://127.0.0.1:{port}/api"
        environment = {
            **os.environ,
            "PREFECT_HOME": home,
            "PREFECT_API_URL": api,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        words = ["-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([sys.executable, *words], env=environment, **quiet) as server:  # type: ignore[call-overload]
            try:
                _wait_for(f"{api}/health")
                yield environment, lambda slots, per_second: _create(api, slots, per_second)
            finally:
                server.terminate()


def _wait_for(url: str) -> None:
    give_up_at = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.2)


def _create(api: str, slots: int, per_second: float) -> str:
    name = f"vendor-{slots}"
    body = json.dumps({"name": name, "limit": slots, "slot_decay_per_second": per_second, "active": True}).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{api}/v2/concurrency_limits/", data=body, headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - loopback
        return name
