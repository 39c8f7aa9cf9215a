"""A vendor that takes no time: rows a second with start-up and all, and CPU a row, of whoever calls it, 50 at once.

Those that take any callable make the two calls of an edit (picture and mask up, result down) and write the file; those that speak
the OpenAI wire alone exchange a line of text. Ours reads, checks, journals, sends, judges, composes and stores each picture.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.config import CleanupConfig
from tests.benchmarks.driver_rate import catalog
from tests.benchmarks.peers.comparing import bars, measured
from tests.benchmarks.peers.driving import start_driver, write_rows
from tests.benchmarks.peers.environments import ABL, CURATOR, ONDINE, PREFECT, Peer, python_with
from tests.benchmarks.peers.gateway import gateway
from tests.benchmarks.results import keep_plot
from tests.benchmarks.stub_vendor import stub_vendor
from tests.services import clean_environment

IN_FLIGHT = 50
WITHIN_S = 1200
QUICK = 3  # the first of the contenders
FLOOR = Peer(name="asyncio and httpx", version="alone", driver="plain_loop.py", at_hand=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Caller:
    """Someone who works through all rows; without a peer it is us."""

    peer: Peer | None = None
    a_row_is: str
    pictures: bool = True
    ours: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ours", self.peer is None)

    def __str__(self) -> str:
        """As it stands in the tables."""
        return str(self.peer or "cleanplate, without Prefect")


CALLERS = (
    Caller(peer=FLOOR, a_row_is="two calls, a file"),
    Caller(a_row_is="all that a delivered picture needs"),
    Caller(peer=ABL, a_row_is="two calls, a file, a checkpoint with fsync"),
    Caller(peer=PREFECT, a_row_is="two calls, a file, a persisted result"),
    Caller(peer=CURATOR, a_row_is="one call with a line of text", pictures=False),
    Caller(peer=ONDINE, a_row_is="one call with a line of text", pictures=False),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one process, from its start to its end."""

    rows_per_s: float
    cpu_ms: float  # a row


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, callers = (300, CALLERS[:QUICK]) if quick else (2000, CALLERS)
    print(f"| caller, {rows:,} rows | a row is | rows/s with start-up | CPU, ms a row |\n|---|---|---:|---:|")
    cpu = {}
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        manifest = catalog(folder / "in", rows)
        with stub_vendor(folder / "in") as pictures, gateway() as text:
            for who, f in measured(callers, lambda who: work_through(who, folder, manifest, pictures, text, rows)):
                print(f"| {who} | {who.a_row_is} | {f.rows_per_s:.0f} | {f.cpu_ms:.1f} |", flush=True)
                cpu[who] = round(f.cpu_ms, 1)
    keep_plot(
        "cpu", bars("What a row costs the caller when the vendor takes no time", "ms of CPU, less is better", cpu)
    )


def work_through(who: Caller, folder: Path, manifest: Path, pictures: str, text: str, rows: int) -> Figures:
    """All rows, in a process and a folder of its own."""
    own = folder / f"by-{time.time_ns()}"
    own.mkdir()
    if who.peer:
        python_with(*who.peer.requirements)  # before the clock runs
    before, began = _cpu_s(), time.monotonic()
    process = _start(who.peer, own, manifest, pictures if who.pictures else text, pictures=who.pictures)
    assert process.wait(WITHIN_S) == 0, (own / "log.txt").read_text()[-3000:]  # of ours: every row succeeded
    figures = Figures(rows_per_s=rows / (time.monotonic() - began), cpu_ms=1000 * (_cpu_s() - before) / rows)
    assert who.ours or len(json.loads((own / "told.json").read_text())["succeeded"]) == rows
    return figures


def _start(peer: Peer | None, own: Path, manifest: Path, url: str, *, pictures: bool) -> "subprocess.Popen[bytes]":
    if peer is None:
        return _start_ours(own, manifest, url)
    rows = write_rows(manifest, own / "rows.jsonl", by_content=False)
    job: dict[str, Any] = {"url": url, "rows": str(rows), "in_flight": IN_FLIGHT, "pictures": pictures}
    return start_driver(peer, own, job, clean_environment(own))


def _start_ours(own: Path, manifest: Path, url: str) -> "subprocess.Popen[bytes]":
    vendor = {
        "BASE_URL": f"{url}/maskr",
        "API_KEY": "stub",
        "BATCH_SIZE": "1",
        "LIMITS": '["1000000/min"]',
        "MAX_IN_FLIGHT": str(IN_FLIGHT),
    }
    environment = clean_environment(
        own,
        PYTHONPATH=os.getcwd(),
        CLEANPLATE_LEDGER_URL=f"sqlite:///{own}/ledger.sqlite3",
        CLEANPLATE_LEDGER_DURABLE="true",
        CLEANPLATE_ALLOW_PRIVATE_HOSTS="true",
        **{f"CLEANPLATE_PROVIDERS__MASKR__{name}": value for name, value in vendor.items()},
    )
    config = CleanupConfig(manifest=str(manifest), to=str(own / "out"), run_id="r", providers=("maskr",))
    with (own / "log.txt").open("wb") as log:
        command = [sys.executable, "-m", "tests.without_prefect", config.model_dump_json()]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def _cpu_s() -> float:
    """Of all children that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
