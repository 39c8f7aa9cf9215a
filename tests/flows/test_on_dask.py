"""The same run with Dask as the task runner: batches travel to worker processes, and every row comes back once."""

from pathlib import Path

import pandas as pd
import pytest

from tests.factories.catalogs import write_catalog
from tests.flows.conftest import Cleanplate

pytestmark = pytest.mark.xdist_group("prefect")
pytest.importorskip("prefect_dask")


@pytest.mark.timeout(400)  # half a minute where nobody else is at work
def test_batches_are_edited_by_dask_workers(cleanplate: Cleanplate, tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path / "in", 120)
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    settings = {"CLEANPLATE_TASK_RUNNER": "dask", "CLEANPLATE_LEDGER_URL": ledger}
    arguments = ("run", str(manifest), "--to", str(tmp_path / "out"), "--engine", "telea", "--verbose")

    process = cleanplate.start(*arguments, "--run-id", "spread", **settings)
    _, err = process.communicate(timeout=350)

    assert process.returncode == 0, err
    results = pd.read_parquet(tmp_path / "out" / "run_id=spread" / "results.parquet")
    assert list(results.item_id) == [f"item-{n:05d}" for n in range(120)]
    assert set(results.state) == {"succeeded"}
    assert "Dask" in err
