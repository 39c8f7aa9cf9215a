"""Runs of the real driver in child processes against the sandbox, which keeps its own bill: what money tests are made of."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.config import CleanupConfig
from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.process import SandboxProcess, sandbox_settings


@dataclass(kw_only=True)
class Rehearsal:
    """One sandbox, one ledger, any number of runs."""

    sandbox: SandboxProcess
    environment: dict[str, str]
    folder: Path

    def config(self, manifest: Path, provider: str, *, run_id: str = "r", **knobs: Any) -> CleanupConfig:
        """Knobs of one run into this rehearsal's folder."""
        known = {"batches_in_flight": 4, "providers": (provider,), "to": str(self.folder / "out"), **knobs}
        return CleanupConfig(manifest=str(manifest), run_id=run_id, **known)

    def start(self, config: CleanupConfig, *arguments: str) -> "subprocess.Popen[bytes]":
        """A child process of its own group that works on the run."""
        command = [sys.executable, "-m", "tests.without_prefect", config.model_dump_json(), *arguments]
        return subprocess.Popen(
            command, env=self.environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def run(self, config: CleanupConfig, *arguments: str) -> int:
        """To its end; the exit code."""
        process = self.start(config, *arguments)
        _, complaints = process.communicate(timeout=1800)
        assert process.returncode in {0, 3, 4}, complaints.decode()[-3000:]
        return process.returncode

    def kill_when(self, process: "subprocess.Popen[bytes]", reached: Callable[[], bool]) -> bool:
        """kill -9 of the whole group as soon as `reached` says so; False when it ended before."""
        deadline = time.monotonic() + 120
        while not reached():
            if process.poll() is not None:
                return False
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True

    def charges(self) -> int:
        """How many edits were charged so far, by the sandbox's own bill."""
        return int(self.sandbox.bill(entries=False)["charges"])

    def charged_twice(self) -> int:
        """Pictures that were charged more than once, by the sandbox's own bill."""
        entries = self.sandbox.bill()["entries"]
        paid = Counter(entry["picture_sha256"] for entry in entries if entry["kind"] == "charge")
        return sum(count - 1 for count in paid.values())

    def results(self, run_id: str = "r") -> pd.DataFrame:
        """The results manifest."""
        return pd.read_parquet(self.folder / "out" / f"run_id={run_id}" / "results.parquet")

    def statement_usd(self) -> Decimal:
        """What the ledger says was spent."""
        lines = json.loads(self.cleanplate("ledger", "statement", "--json"))
        return sum((Decimal(line["usd"]) for line in lines), Decimal(0))

    def cleanplate(self, *arguments: str) -> str:
        """The command with these arguments, in this rehearsal's environment; what it prints."""
        command = [str(Path(sys.executable).parent / "cleanplate"), *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout


@contextmanager
def rehearsal(folder: Path, *, ledger_url: str | None = None, **sandbox: Any) -> Iterator[Rehearsal]:
    """A sandbox with these settings, and the environment that points the product at it."""
    config = SandboxConfig.model_validate(sandbox)
    with SandboxProcess(config) as process:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEANPLATE_")}
        ledger = ledger_url or f"sqlite:///{folder / 'ledger.sqlite3'}"
        environment = {
            **kept,
            **sandbox_settings(process.url, config),
            "CLEANPLATE_LEDGER_URL": ledger,
            "HOME": str(folder),
        }
        yield Rehearsal(sandbox=process, environment=environment, folder=folder)
