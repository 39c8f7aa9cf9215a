import os
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.factories.catalogs import write_catalog
from tests.flows.conftest import Cleanplate

pytestmark = pytest.mark.xdist_group("prefect")

ENGINE = ("--engine", "telea")


def results_of(to: Path, run_id: str) -> pd.DataFrame:
    return pd.read_parquet(to / f"run_id={run_id}" / "results.parquet")


def _wait_for_pictures(process: "subprocess.Popen[str]", run_folder: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(list((run_folder / "images").glob("*.jpg"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_row_has_one_outcome_and_foreign_columns_come_through(cleanplate: Cleanplate, tmp_path: Path) -> None:
    """More than one batch; the results open in pandas, DuckDB and Arrow alike."""
    shelves = [None, *range(1, 60)]
    manifest = write_catalog(tmp_path / "in", 60, extra={"shelf": shelves})
    to = tmp_path / "out"

    ended = cleanplate.run("run", str(manifest), "--to", str(to), "--run-id", "r1", *ENGINE)

    assert ended.returncode == 0, ended.stderr
    results = results_of(to, "r1")
    assert list(results.item_id) == [f"item-{n:05d}" for n in range(60)]
    assert set(results.state) == {"succeeded"}
    assert pq.read_table(to / "run_id=r1" / "results.parquet")["shelf"].to_pylist() == shelves
    assert duckdb.read_parquet(f"{to}/*/results.parquet", hive_partitioning=True).shape[0] == 60
    assert all(Path(uri).is_file() for uri in results.output_uri)
    assert (to / "run_id=r1" / "report.html").is_file()


def test_a_killed_run_goes_on_where_it_stopped(cleanplate: Cleanplate, tmp_path: Path) -> None:
    """kill -9 in the middle, then the same command: what was finished is not edited again."""
    manifest = write_catalog(tmp_path / "in", 120, side=128)
    to = tmp_path / "out"
    arguments = ("run", str(manifest), "--to", str(to), "--run-id", "killed", "--engine", "patchmatch")
    process = cleanplate.start(*arguments)
    images = to / "run_id=killed" / "images"
    _wait_for_pictures(process, to / "run_id=killed", 20)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in images.glob("*.jpg")}
    assert len(before) < 120

    ended = cleanplate.run(*arguments)

    assert ended.returncode == 0, ended.stderr
    results = results_of(to, "killed")
    assert results.item_id.is_unique
    assert len(results) == 120
    # A picture whose file was written in the instant of the kill, before the ledger knew of it, is made again: one a core.
    again = [name for name, time_ns in before.items() if (images / name).stat().st_mtime_ns != time_ns]
    assert len(again) <= 8


def test_ctrl_c_in_a_terminal_spares_the_server_that_the_run_brought_along(
    cleanplate: Cleanplate, tmp_path: Path
) -> None:
    """No server stands ready, so the run starts one as its child; the terminal signals the whole group."""
    manifest = write_catalog(tmp_path / "in", 120, side=128)
    to = tmp_path / "out"
    process = cleanplate.start(
        *("run", str(manifest), "--to", str(to), "--run-id", "alone", "--json", "--engine", "patchmatch"),
        PREFECT_API_URL="",
    )
    _wait_for_pictures(process, to / "run_id=alone", 5)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3, err
    assert '"deferred"' in out
    assert len(results_of(to, "alone")) == 120


def test_ctrl_c_writes_the_results_and_retry_completes_them(cleanplate: Cleanplate, tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path / "in", 120, side=128)
    to = tmp_path / "out"
    process = cleanplate.start("run", str(manifest), "--to", str(to), "--run-id", "stopped", "--engine", "patchmatch")
    _wait_for_pictures(process, to / "run_id=stopped", 5)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=100)

    assert process.returncode == 3, err
    stopped = results_of(to, "stopped")
    assert len(stopped) == 120
    assert set(stopped.state) == {"succeeded", "deferred"}
    assert set(stopped.error_code.dropna()) == {"interrupted"}

    ended = cleanplate.run("retry", str(to / "run_id=stopped"))

    assert ended.returncode == 0, ended.stderr
    assert set(results_of(to, "stopped").state) == {"succeeded"}
