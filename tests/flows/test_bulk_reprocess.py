"""A bulk run with a real worker: stopped by Ctrl-C in the middle, then started again with the same run id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal
from tests.services import clean_environment, deploy, end, start_worker

pytestmark = pytest.mark.xdist_group("prefect")

ROWS = 100
BULK = """
import sys
from flows.bulk_reprocess import bulk_reprocess
from tasks.config import CleanupConfig
state = bulk_reprocess(CleanupConfig.model_validate_json(sys.argv[1]), shards=2, return_state=True)
print(state.name, state.message)
"""


@pytest.mark.timeout(500)  # a minute where nobody else is at work
def test_ctrl_c_writes_the_results_and_the_same_run_id_goes_on(prefect_api: str, tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path / "in", ROWS)
    with rehearsal(tmp_path, runflow={"latency_s": 0.3, "limits": ["20/2s"]}) as here, at_work(here, prefect_api):
        config = here.config(manifest, "runflow", batches_in_flight=1).model_dump_json()
        bulk = start_bulk(here, config)
        wait_until(lambda: here.charges() > 15, bulk)
        os.kill(bulk.pid, signal.SIGINT)
        out, err = bulk.communicate(timeout=150)

        assert out.startswith("Failed stopped; 2 of 2 shards did not end well: 1/2 cancelled"), err
        stopped = here.results()
        assert len(stopped) == ROWS
        assert set(stopped.state) == {"succeeded", "deferred"}
        assert set(stopped.error_code.dropna()) == {"interrupted"}
        assert "SQLite" in err

        out, err = start_bulk(here, config).communicate(timeout=150)

        assert out.startswith("Completed"), (out, err)
        assert set(here.results().state) == {"succeeded"}
        assert here.charges() == ROWS
        assert here.charged_twice() == 0
    shards, progress = artifact(prefect_api, "shards"), artifact(prefect_api, "progress")
    assert '"ended as": "completed"' in shards["data"]
    assert progress["data"] == 100.0
    assert progress["description"].startswith("100 of 100 rows · 2 of 2 shards · $")


@contextmanager
def at_work(here: Rehearsal, prefect_api: str) -> Iterator[None]:
    """A worker with room for two shards, in the rehearsal's environment."""
    settings = {name: value for name, value in here.environment.items() if name.startswith("CLEANPLATE_")}
    here.environment = clean_environment(here.folder, PREFECT_API_URL=prefect_api, **settings)
    deploy(here.environment, "cleanplate", "bulk-shard")
    worker = start_worker(here.environment, "cleanplate", "bulk", here.folder / "worker.log")
    try:
        yield
    finally:
        end(worker)


def start_bulk(here: Rehearsal, config: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", BULK, config],
        env=here.environment,
        cwd=here.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def artifact(api: str, kind: str) -> dict[str, Any]:
    """The newest of the catalog's."""
    key = f"cleanplate-manifest-{kind}"
    asked = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    [found] = httpx.post(f"{api}/artifacts/filter", json=asked, timeout=20).raise_for_status().json()
    return dict(found)
