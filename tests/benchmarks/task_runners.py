"""The same rows through each task runner, all on this machine: threads, Dask and Ray with a process a core; and a Dask worker that is lost.

Ray is large and no part of the environment: it is installed from requirements-ray.lock into one that is thrown away, or left out.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd

from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal
from tests.services import ROOT, clean_environment, command, descends_from, end, prefect_server

FLOW: Final = """
import sys
from flows.catalog_cleanup import catalog_cleanup
from tasks.config import CleanupConfig
catalog_cleanup(CleanupConfig.model_validate_json(sys.argv[1]))
"""
VENDOR: Final = {"latency_s": 5.0, "limits": ["100000/min"]}


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be done by whom."""

    name: str
    provider: str
    rows: int
    side: int


def main(quick: bool) -> None:
    """Print a Markdown table; fails when a row is lost or one is paid twice."""
    many = 1 if quick else 4
    loads = (
        Load(name="vendor that takes 5 s", provider="runflow", rows=400 * many, side=64),
        Load(name="local engine", provider="local", rows=100 * many, side=256),
    )
    print(
        "| load | task runner | rows | charged twice | in doubt | to the first edit, s | rows/s, steady | whole, s | memory, MB |"
    )
    print("|---|---|" + "---:|" * 7)
    with (
        tempfile.TemporaryDirectory(prefix="runners-") as name,
        prefect_server(Path(name)) as api,
        python_with_ray(Path(name) / "ray") as with_ray,
    ):
        for load in loads:
            for runner, python in (("threads", sys.executable), ("dask", sys.executable), ("ray", with_ray)):
                if python is not None:
                    print(line(api, Path(name) / f"{load.provider}-{runner}", load, runner, python), flush=True)
        print(line(api, Path(name) / "lost", loads[0], "dask", sys.executable, lost=True), flush=True)


@contextmanager
def python_with_ray(folder: Path) -> Iterator[str | None]:
    """An interpreter that has Ray; None, with a word why, where it cannot be installed."""
    python = folder / "bin" / "python"
    try:
        for words in (
            ["venv", "--quiet", "--python", sys.executable, str(folder)],
            [
                "pip",
                "sync",
                "--quiet",
                "--python",
                str(python),
                "--require-hashes",
                str(ROOT / "requirements-ray.lock"),
            ],
        ):
            subprocess.run([command("uv"), *words], check=True, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"(Ray is left out: {getattr(error, 'stderr', None) or error})", file=sys.stderr)
        yield None
        return
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "cleanplate.pth").write_text(f"{ROOT}\n")
    yield str(python)


def line(api: str, home: Path, load: Load, runner: str, python: str, *, lost: bool = False) -> str:
    """One run to its end; every row once, and nothing paid twice by the vendor's own bill."""
    manifest = write_catalog(home / "in", load.rows, side=load.side)
    with rehearsal(home, runflow=VENDOR) as here:
        settings = {name: value for name, value in here.environment.items() if name.startswith("CLEANPLATE_")}
        here.environment = clean_environment(
            home, PREFECT_API_URL=api, CLEANPLATE_TASK_RUNNER=runner, **settings, RAY_DEDUP_LOGS="0"
        )
        config = here.config(manifest, load.provider, batches_in_flight=8)
        began = datetime.now(UTC)
        process = subprocess.Popen(
            [python, "-c", FLOW, config.model_dump_json()],
            env=here.environment,
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=(home / "log").open("w"),
            start_new_session=True,
        )
        try:
            with memory_of(process.pid) as peak:
                if lost:
                    lose_a_worker(here, process, load.rows // 4)
                process.wait(timeout=900)
        finally:
            if process.poll() is None:
                end(process)
        whole_s = (datetime.now(UTC) - began).total_seconds()
        assert process.returncode == 0, (home / "log").read_text()[-3000:]
        doubtful = check(here, load, lost=lost)
        results = here.results()
    name = f"{runner}, one worker killed" if lost else runner
    start_s = (results.started_at.min() - pd.Timestamp(began)).total_seconds()
    return (
        f"| {load.name} | {name} | {load.rows} | 0 | {doubtful} | {start_s:.1f} | {steady(results):.1f} | {whole_s:.0f} "
        f"| {peak.mb:.0f} |"
    )


def check(here: Rehearsal, load: Load, *, lost: bool) -> int:
    """Rows in doubt: only what was leaving in the instant of a loss, for Runflow cannot be asked for a request without its id."""
    results, charges = here.results(), here.charges()
    succeeded, doubtful = (int((results.state == state).sum()) for state in ("succeeded", "in_doubt"))
    assert list(results.item_id) == [f"item-{n:05d}" for n in range(load.rows)]
    assert succeeded + doubtful == load.rows, results.state.value_counts()
    assert doubtful <= (200 if lost else 0)
    assert here.charged_twice() == 0
    assert load.provider == "local" or succeeded <= charges <= succeeded + doubtful
    return doubtful


def steady(results: pd.DataFrame) -> float:
    """Rows a second between the first and the last tenth."""
    ends = results.finished_at.sort_values().reset_index(drop=True)
    tenth = len(ends) // 10
    return float((len(ends) - 2 * tenth) / (ends.iloc[-1 - tenth] - ends.iloc[tenth]).total_seconds())


def lose_a_worker(here: Rehearsal, process: "subprocess.Popen[bytes]", after: int) -> None:
    """kill -9 of one of Dask's worker processes, in the middle."""
    deadline = time.monotonic() + 300
    while here.charges() < after:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = [pid for pid in descends_from(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)


class Peak:
    """The most that a process and all that it started have held at once, what they share counted once."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.mb = 0.0
        self.ended = threading.Event()

    def watch(self) -> None:
        """Each second."""
        while not self.ended.wait(1):
            self.mb = max(self.mb, sum(map(_held_mb, [self._pid, *descends_from(self._pid)])))


def _held_mb(pid: int) -> float:
    with suppress(OSError):
        for text in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if text.startswith("Pss:"):
                return int(text.split()[1]) / 1000
    return 0.0


@contextmanager
def memory_of(pid: int) -> Iterator[Peak]:
    peak = Peak(pid)
    watcher = threading.Thread(target=peak.watch)
    watcher.start()
    try:
        yield peak
    finally:
        peak.ended.set()
        watcher.join()
