"""Ctrl-C in the middle of a real `cleanplate run`: how soon the results are there, what is in doubt, and what `retry` completes.

The signal goes to the whole process group, as a terminal sends it. The sandbox, in a process of its own, plays Runflow (accepted,
then polled) and Maskr in batches (the answer is the result), both with work under way when the signal comes.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal
from tests.services import clean_environment, command

LATENCY_S = 5.0  # of each edit at the vendor: what is under way takes so long at most
RUN_ID = "stopped"
VENDORS: dict[str, dict[str, Any]] = {
    "runflow": {"runflow": {"latency_s": LATENCY_S}},
    "maskr": {"maskr": {"latency_s": LATENCY_S, "limits": ["60/10s"], "batch_limits": ["1/2s"]}},
    "maskr and runflow": {
        "runflow": {"latency_s": LATENCY_S},
        "maskr": {"latency_s": LATENCY_S, "limits": ["20/10s"], "batch_limits": ["1/10s"]},
    },
}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one run that was stopped and taken up again."""

    under_way: int  # rows that the vendors had in hand, and charged after the signal
    to_results_s: float
    to_exit_s: float
    exit_code: int
    stopped: dict[str, int]
    unpaid_doubt: int  # in doubt after the stop
    completed: dict[str, int]
    charged_twice: int
    bill_usd: Decimal
    statement_usd: Decimal


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows = 200 if quick else 1000
    print(
        "| vendor | rows | charged after the signal | to the results, s | to the exit, s | exit code | outcomes then ",
        end="",
    )
    print("| in doubt | outcomes after `retry` | charged twice | bill | statement |")
    print("|" + "---|" * 12)
    for vendor in ("runflow",) if quick else VENDORS:
        f = measure(vendor, rows)
        print(
            f"| {vendor} | {rows:,} | {f.under_way} | {f.to_results_s:.1f} | {f.to_exit_s:.1f} | {f.exit_code} "
            f"| {_said(f.stopped)} | {f.unpaid_doubt} | {_said(f.completed)} | {f.charged_twice} "
            f"| ${f.bill_usd} | ${f.statement_usd} |",
            flush=True,
        )


def _said(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def measure(vendor: str, rows: int) -> Figures:
    """One run, one Ctrl-C after a third of the rows, one retry."""
    with tempfile.TemporaryDirectory(prefix="stopped-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", rows)
        with rehearsal(folder, **VENDORS[vendor]) as here:
            here.environment = clean_environment(folder) | {
                key: value for key, value in here.environment.items() if key.startswith("CLEANPLATE_")
            }
            here.environment["CLEANPLATE_PROVIDERS__RUNFLOW__MAX_IN_FLIGHT"] = "60"
            providers = [part for key in vendor.split(" and ") for part in ("--provider", key)]
            arguments = ["run", str(manifest), "--to", str(folder / "out"), "--run-id", RUN_ID, "--policy", "fastest"]
            process = _start(here, [*arguments, *providers, "--batches-in-flight", "12"])
            before, to_results_s, to_exit_s = _stop(here, process, rows // 3)
            under_way = here.charges() - before
            stopped = here.results(RUN_ID)
            _start(here, ["retry", str(folder / "out" / f"run_id={RUN_ID}")]).wait(timeout=600)
            return Figures(
                under_way=under_way,
                to_results_s=to_results_s,
                to_exit_s=to_exit_s,
                exit_code=process.returncode,
                stopped=dict(Counter(stopped.state)),
                unpaid_doubt=int((stopped.state == "in_doubt").sum()),
                completed=dict(Counter(here.results(RUN_ID).state)),
                charged_twice=here.charged_twice(),
                bill_usd=Decimal(here.sandbox.bill(entries=False)["usd"]),
                statement_usd=here.statement_usd(),
            )


def _start(here: Rehearsal, arguments: list[str]) -> "subprocess.Popen[bytes]":
    log = here.folder / "run.log"
    with log.open("wb") as output:
        return subprocess.Popen(
            [command("cleanplate"), *arguments],
            env=here.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop(here: Rehearsal, process: "subprocess.Popen[bytes]", charges: int) -> tuple[int, float, float]:
    """Ctrl-C once so many edits were charged: charges in that moment, seconds to the results and to the exit."""
    while here.charges() < charges:
        if process.poll() is not None:
            raise RuntimeError(f"the run ended too early:\n{(here.folder / 'run.log').read_text()[-3000:]}")
        time.sleep(0.02)
    before, signalled = here.charges(), time.time()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=120)
    to_exit_s = time.time() - signalled
    results = here.folder / "out" / f"run_id={RUN_ID}" / "results.parquet"
    return before, results.stat().st_mtime - signalled, to_exit_s
