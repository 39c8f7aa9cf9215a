"""Real servers for tests: started on loopback, waited for, and ended by their process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
START_WITHIN_S = 120  # a busy machine migrates Prefect's database slowly


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """As a user's, without this machine's settings for Prefect or cleanplate."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CLEANPLATE_"))}
    quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_HOME": str(home / "prefect")}
    return {**kept, "HOME": str(home), **quiet, **more}


def command(name: str) -> str:
    """A console script of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


@contextmanager
def prefect_server(home: Path, *, ui: bool = False, **settings: str) -> Iterator[str]:
    """A Prefect server of its own, with these environment variables; yields its API URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    start = [command("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = clean_environment(home, PREFECT_UI_API_URL=url, **settings)
    log = home / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*start, "--ui" if ui else "--no-ui"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_healthy(url, process, log)
        yield url
    finally:
        end(process)


def _wait_until_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the Prefect server did not start:\n{log.read_text()[-3000:]}")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and the group that it leads."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            continue
        return


def kill_tree(pid: int) -> None:
    """kill -9 of a process and all that it started, as when a machine is lost."""
    for child in _children(pid):
        kill_tree(child)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return [child for child, parent in parents.items() if parent == pid]


def descends_from(pid: int) -> list[int]:
    """Processes that this one started, at any depth."""
    return [one for child in _children(pid) for one in (child, *descends_from(child))]


def deploy(environment: dict[str, str], pool: str, deployment: str, **places: str) -> None:
    """A process pool and one deployment of deployments/prefect.yaml, made as the documentation says."""
    for arguments in (
        ["work-pool", "create", pool, "--type", "process"],
        ["--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--name", deployment],
    ):
        unused = {"CLEANPLATE_CATALOG_MANIFEST": "unused", "CLEANPLATE_CATALOG_OUTPUT": "unused"}
        ended = subprocess.run(
            [command("prefect"), *arguments],
            env={**environment, **unused, **places},
            cwd=ROOT,
            capture_output=True,
            check=False,
            text=True,
            timeout=200,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def start_worker(environment: dict[str, str], pool: str, name: str, log: Path) -> "subprocess.Popen[bytes]":
    """A worker that looks for runs each second."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [command("prefect"), "worker", "start", "--pool", pool, "--name", name, "--limit", "2"],
            env={**environment, "PREFECT_WORKER_QUERY_SECONDS": "1"},
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
