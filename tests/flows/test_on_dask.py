"""The same run with Dask as the task runner: batches travel to worker processes, and every row comes back once."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests.factories.catalogs import write_catalog
from tests.flows.conftest import Cleanplate
from tests.rehearsals import Rehearsal, rehearsal
from tests.services import command, end, free_port, kill_tree

pytestmark = pytest.mark.xdist_group("prefect")
pytest.importorskip("prefect_dask")

ROWS = 120


def on_dask(tmp_path: Path, runner: str = "dask") -> dict[str, str]:
    return {
        "CLEANPLATE_TASK_RUNNER": runner,
        "CLEANPLATE_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.sqlite3'}",
    }


def results_of(tmp_path: Path) -> pd.DataFrame:
    results = pd.read_parquet(tmp_path / "out" / "run_id=spread" / "results.parquet")
    assert list(results.item_id) == [f"item-{n:05d}" for n in range(ROWS)]
    return results


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.timeout(400)  # half a minute where nobody else is at work
def test_batches_are_edited_by_dask_workers(cleanplate: Cleanplate, tmp_path: Path) -> None:
    """And their processes end in peace: what they held is given back."""
    manifest = write_catalog(tmp_path / "in", ROWS)
    arguments = ("run", str(manifest), "--to", str(tmp_path / "out"), "--engine", "telea", "--verbose")

    process = cleanplate.start(*arguments, "--run-id", "spread", **on_dask(tmp_path))
    _, err = process.communicate(timeout=350)

    assert process.returncode == 0, err
    assert set(results_of(tmp_path).state) == {"succeeded"}
    assert "Dask" in err
    assert "Traceback" not in err


@pytest.mark.timeout(400)  # half a minute where nobody else is at work
def test_ctrl_c_reaches_the_workers_as_a_word_not_as_a_signal(cleanplate: Cleanplate, tmp_path: Path) -> None:
    """A terminal signals the whole group; Dask's processes outlast it, settle what they have, and the results are written."""
    manifest = write_catalog(tmp_path / "in", ROWS, side=128)
    images = tmp_path / "out" / "run_id=spread" / "images"
    arguments = ("run", str(manifest), "--to", str(tmp_path / "out"), "--engine", "patchmatch", "--verbose")

    process = cleanplate.start(*arguments, "--run-id", "spread", **on_dask(tmp_path))
    wait_until(lambda: len(list(images.glob("*.jpg"))) > 4, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=150)

    assert process.returncode == 3, err
    results = results_of(tmp_path)
    assert set(results.state) == {"succeeded", "deferred"}
    assert set(results.error_code.dropna()) == {"interrupted"}


@contextmanager
def dask_cluster(here: Rehearsal, workers: int) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A scheduler and workers that were there before the run, each a process of its own; yields its address and the workers."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--protocol", "tcp"]
    worker = ["worker", address, "--host", "127.0.0.1", "--no-dashboard", "--no-nanny", "--nthreads", "8"]
    with ExitStack() as ending:
        started = []
        for words in (scheduler, *[worker] * workers):
            process = subprocess.Popen(
                [command("dask"), *words],
                env=here.environment,
                cwd=here.folder,
                stdout=subprocess.DEVNULL,
                stderr=(here.folder / "dask.log").open("ab"),
                start_new_session=True,
            )
            ending.callback(lambda process=process: process.poll() is None and end(process))
            started.append(process)
        yield address, started[1:]


@pytest.mark.timeout(400)  # half a minute where nobody else is at work
def test_a_lost_worker_of_a_standing_cluster_costs_no_row_and_no_second_payment(
    cleanplate: Cleanplate, tmp_path: Path
) -> None:
    """kill -9 in the middle: its batches go to the other one, which asks the vendor for what was accepted."""
    manifest = write_catalog(tmp_path / "in", ROWS)
    arguments = ("run", str(manifest), "--to", str(tmp_path / "out"), "--provider", "runflow", "--verbose")
    with (
        rehearsal(tmp_path, runflow={"latency_s": 0.5, "limits": ["30/3s"]}) as here,
        dask_cluster(here, 2) as (address, workers),
    ):
        sandboxed = {name: value for name, value in here.environment.items() if name.startswith("CLEANPLATE_")}
        process = cleanplate.start(
            *arguments, "--run-id", "spread", **{**sandboxed, **on_dask(tmp_path, f"dask:{address}")}
        )
        wait_until(lambda: here.charges() > ROWS // 4, process)
        kill_tree(workers[0].pid)
        _, err = process.communicate(timeout=200)

        assert process.returncode in {0, 3}, err
        results = results_of(tmp_path)
        count = results.state.value_counts()
        assert set(results.state) <= {"succeeded", "in_doubt"}
        assert here.charged_twice() == 0
        assert count["succeeded"] <= here.charges() <= ROWS
        assert "existing Dask cluster" in err
