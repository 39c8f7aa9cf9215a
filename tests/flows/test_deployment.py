"""The nightly deployment, made from deployments/prefect.yaml and run by a real worker on a real server."""

import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pandas as pd
import pytest

from tests.factories.catalogs import write_catalog
from tests.services import clean_environment, deploy, end, start_worker

pytestmark = pytest.mark.xdist_group("prefect")

NIGHTLY = "catalog-cleanup/catalog-cleanup-nightly"


@pytest.mark.timeout(500)  # half a minute where nobody else is at work
def test_the_nightly_deployment_cleans_the_catalog(prefect_api: str, tmp_path: Path) -> None:
    """The run id holds the night; the run's page in Prefect says how it ended."""
    manifest = write_catalog(tmp_path / "in", 3)
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    environment = clean_environment(tmp_path, PREFECT_API_URL=prefect_api, CLEANPLATE_LEDGER_URL=ledger)
    deploy(
        environment,
        "cleanplate",
        "catalog-cleanup-nightly",
        CLEANPLATE_CATALOG_MANIFEST=str(manifest),
        CLEANPLATE_CATALOG_OUTPUT=str(tmp_path / "out"),
    )
    with httpx.Client(base_url=prefect_api, timeout=30) as api:
        [flow, name] = NIGHTLY.split("/")
        deployment = api.get(f"{prefect_api}/deployments/name/{flow}/{name}").json()
        run = api.post(f"{prefect_api}/deployments/{deployment['id']}/create_flow_run", json={}).json()
        worker = start_worker(environment, "cleanplate", "night", tmp_path / "worker.log")
        try:
            state = _final_state(api, prefect_api, run["id"])
        finally:
            end(worker)

    assert state["type"] == "COMPLETED", (state, (tmp_path / "worker.log").read_text()[-3000:])
    assert "3 succeeded" in state["message"]
    [folder] = (tmp_path / "out").glob("run_id=nightly-*")
    assert (
        abs(
            (datetime.fromisoformat(folder.name.removeprefix("run_id=nightly-")).date() - datetime.now(UTC).date()).days
        )
        <= 1
    )
    assert set(pd.read_parquet(folder / "results.parquet").state) == {"succeeded"}


def _final_state(api: httpx.Client, url: str, run_id: str) -> dict[str, str]:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        state: dict[str, str] = api.get(f"{url}/flow_runs/{run_id}").json()["state"]
        if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
            return state
        time.sleep(0.3)
    raise AssertionError(f"the run did not end: {state}")
