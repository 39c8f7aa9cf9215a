"""A bulk run over a real work pool: several workers, Prefect and the ledger on PostgreSQL, the sandbox as the vendor, a lost machine.

The vendor takes its time over each picture, and a shard has one batch of 50 under way, so that one worker waits for the vendor most of
the time: what more workers are for. They run on one machine here, with the vendor, Prefect and PostgreSQL on the same cores.
"""

import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import pandas as pd

from tests.benchmarks.nightly_house import databases
from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal
from tests.services import clean_environment, deploy, descends_from, end, kill_tree, prefect_server, start_worker

BULK = """
import sys
from flows.bulk_reprocess import bulk_reprocess
from tasks.config import CleanupConfig
config = CleanupConfig.model_validate_json(sys.argv[1])
bulk_reprocess(config, shards=int(sys.argv[2]), silence_s=20, return_state=True)
"""
SHARDS: Final = 6
PRICE: Final = Decimal("0.48")  # of one picture at Runflow
LATENCY_S: Final = 15.0
NO_LIMIT: Final = "100000/min"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bulk run."""

    rows: int
    workers: int
    limit: str = NO_LIMIT  # the vendor's
    killed: bool = False
    paid_rows: int | None = None  # what the budget is for; None: no budget


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What it came to. Seconds: to the first edit, of editing, and from the last edit to results and report."""

    start_s: float
    edit_s: float
    join_s: float
    charges: int
    refused: int  # 429s
    doubtful: int
    taken_over: int

    @property
    def whole_s(self) -> float:
        """From the command to its end."""
        return self.start_s + self.edit_s + self.join_s


def main(quick: bool) -> None:
    """Print a Markdown table; fails when a row is lost or paid twice, or when a limit or the budget is crossed."""
    rows = 300 if quick else 1200
    print(
        "| rows | workers | killed | limit | budget | rows lost | charged twice | 429s | charged | in doubt | shards taken over "
        "| to the first edit, s | editing, s | to the results, s | times one worker, editing | whole |"
    )
    print("|---:" * 3 + "|---" * 2 + "|---:" * 11 + "|")
    one: Seen | None = None
    for case in (
        Case(rows=rows, workers=1),
        Case(rows=rows, workers=3),
        Case(rows=rows, workers=3, limit="60/6s", killed=True),
        Case(rows=rows, workers=3, paid_rows=rows // 3),
    ):
        seen = run(case)
        one = one or seen
        print(row(case, seen, one), flush=True)


def row(case: Case, seen: Seen, one: Seen) -> str:
    """A line of the table; only what does the same work is compared."""
    budget = "none" if case.paid_rows is None else f"${case.paid_rows * PRICE}"
    limit = "none" if case.limit == NO_LIMIT else case.limit
    alike = (case.limit, case.paid_rows) == (NO_LIMIT, None)
    times = f"{one.edit_s / seen.edit_s:.1f} | {one.whole_s / seen.whole_s:.1f}" if alike else " | "
    return (
        f"| {case.rows} | {case.workers} | {int(case.killed)} | {limit} | {budget} | 0 | 0 | {seen.refused} | {seen.charges} | {seen.doubtful} "
        f"| {seen.taken_over} | {seen.start_s:.0f} | {seen.edit_s:.0f} | {seen.join_s:.0f} | {times} |"
    )


@contextmanager
def place(home: Path, limit: str) -> Iterator[Rehearsal]:
    """PostgreSQL, Prefect upon it, the vendor, the pool and its deployment; the environment holds all of it."""
    passwords = {name: secrets.token_hex(24) for name in ("prefect database", "ledger database")}
    with (
        tempfile.TemporaryDirectory(prefix="pg_") as pgdata,  # a short path: Unix sockets have a limit
        databases(Path(pgdata), passwords) as at,
        prefect_server(home, PREFECT_API_DATABASE_CONNECTION_URL=at["prefect"]) as api,
        rehearsal(home, ledger_url=at["ledger"], runflow={"latency_s": LATENCY_S, "limits": [limit]}) as here,
    ):
        settings = {name: value for name, value in here.environment.items() if name.startswith("CLEANPLATE_")}
        here.environment = clean_environment(home, PREFECT_API_URL=api, **settings)
        deploy(here.environment, "cleanplate", "bulk-shard")
        yield here


def run(case: Case) -> Seen:
    """Start workers and the bulk run, lose a machine if that is the case, and hold what is left against the vendor's bill."""
    with tempfile.TemporaryDirectory(prefix="bulk-") as name:
        home = Path(name)
        manifest = write_catalog(home / "in", case.rows)
        with place(home, case.limit) as here:
            logs = [home / f"worker-{number}.log" for number in range(case.workers)]
            workers = [start_worker(here.environment, "cleanplate", log.stem, log) for log in logs]
            wait_until(lambda: all("started!" in log.read_text() for log in logs), workers[0], logs[0])
            budget = None if case.paid_rows is None else case.paid_rows * PRICE
            config = here.config(manifest, "runflow", batches_in_flight=1, budget_usd=budget)
            began = datetime.now(UTC)
            bulk = start_bulk(here, config.model_dump_json())
            try:
                if case.killed:
                    wait_until(lambda: here.charges() > case.rows // 7, bulk, logs[0])
                    lose_one(workers)
                _, err = bulk.communicate(timeout=1200)
            finally:
                for process in (*workers, bulk):
                    if process.poll() is None:
                        end(process)
            assert bulk.returncode == 0, err
            return check(case, here, began, err)


def start_bulk(here: Rehearsal, config: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", BULK, config, str(SHARDS)],
        env=here.environment,
        cwd=here.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 400
    while not reached():
        assert process.poll() is None, (process.communicate(), log.read_text()[-3000:])
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def lose_one(workers: list["subprocess.Popen[bytes]"]) -> None:
    """kill -9 of the worker with most at work, and all its processes."""
    lost = max(workers, key=lambda worker: len(descends_from(worker.pid)))
    assert descends_from(lost.pid)
    kill_tree(lost.pid)


def check(case: Case, here: Rehearsal, began: datetime, log: bytes) -> Seen:
    """Every row once, nothing paid twice, the limit and the budget kept by all workers together, our books the vendor's."""
    results, charges, bill = here.results(), here.charges(), Decimal(here.sandbox.bill(entries=False)["usd"])
    count = {state: int((results.state == state).sum()) for state in ("succeeded", "in_doubt", "deferred")}
    assert list(results.item_id) == [f"item-{n:05d}" for n in range(case.rows)]
    assert sum(count.values()) == case.rows, results.state.value_counts()
    assert here.charged_twice() == 0
    # On an overloaded machine a request may take longer to the vendor than the ledger's guard (0.1 s); a 429 widens it.
    refused = here.sandbox.requests()["rate_limited"]
    assert refused == 0
    # What was leaving in the instant of the loss: Runflow cannot be asked for a request without its id.
    assert count["in_doubt"] <= (100 if case.killed else 0)
    assert count["succeeded"] <= charges <= count["succeeded"] + count["in_doubt"]
    assert 0 <= bill - here.statement_usd() <= count["in_doubt"] * PRICE
    deferred = results[results.state == "deferred"]
    assert set(deferred.error_code) <= {"budget_reached"}
    assert len(deferred) == (0 if case.paid_rows is None else case.rows - case.paid_rows)
    taken_over = log.count(b"is taken over")
    assert (taken_over > 0) == case.killed
    folder = here.folder / "out" / "run_id=r"
    assert not (folder / "_parts").exists()
    ended = datetime.fromtimestamp((folder / "report.html").stat().st_mtime, UTC)
    first, last = seconds(results.started_at.min(), began), seconds(results.finished_at.max(), began)
    return Seen(
        start_s=first,
        edit_s=last - first,
        join_s=seconds(pd.Timestamp(ended), began) - last,
        charges=charges,
        refused=refused,
        doubtful=count["in_doubt"],
        taken_over=taken_over,
    )


def seconds(moment: pd.Timestamp, since: datetime) -> float:
    return float((moment - pd.Timestamp(since)).total_seconds())
