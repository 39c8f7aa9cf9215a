"""What people are told while a batch is under way: at once, and nothing is lost between two batches."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.config import load_settings
from tasks.editing.batch import edit_rows
from tasks.editing.planning import plan_run
from tasks.editing.runtimes import closing_runtime, runtime_of
from tests.factories.catalogs import write_catalog
from tests.rehearsals import rehearsal


def test_each_account_that_runs_dry_is_told_in_the_batch_that_met_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maskr has nothing from the start; Runflow has enough for the first two rows."""
    manifest = write_catalog(tmp_path / "in", 4)
    with rehearsal(tmp_path, engine="quick", maskr={"credits": 0}, runflow={"credits": "0.96"}) as here:
        for name, value in here.environment.items():
            if name.startswith("CLEANPLATE_"):
                monkeypatch.setenv(name, value)
        plan = plan_run(here.config(manifest, "maskr", providers=("maskr", "runflow")), load_settings())
        told: list[list[str]] = []
        with closing_runtime(plan):
            runtime = runtime_of(plan)
            [whole] = plan.batches()
            for half in (replace(whole, length=2), replace(whole, index=1, offset=whole.offset + 2, length=2)):
                heard: list[str] = []
                runtime.run(
                    edit_rows(runtime, half, 1),
                    meanwhile=lambda heard=heard: heard.extend(event.key for event in runtime.drain_events()),
                )
                told.append(heard)

    assert told == [["maskr"], ["runflow"]]
