"""What a run says of itself before it begins."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tasks.config import CleanupConfig
from tasks.editing.planned_run import PlannedRun
from tasks.plan_batches import in_words
from tests.factories.catalogs import write_catalog


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({}, "Run r: 2 rows in 1 batch; may ask local; no ceiling."),
        (
            {"providers": ("maskr", "runflow"), "budget_usd": Decimal(50), "deadline": "5h"},
            "Run r: 2 rows in 1 batch; may ask maskr, runflow; at most $50, nothing new after 5h.",
        ),
        ({"shard": "1/1"}, "Run r: 2 rows in 1 batch (shard 1/1); may ask local; no ceiling."),
    ],
)
def test_a_run_says_first_what_it_will_do_and_within_which_bounds(
    tmp_path: Path, knobs: dict[str, Any], words: str
) -> None:
    manifest = str(write_catalog(tmp_path, 2))
    config = CleanupConfig(manifest=manifest, to=str(tmp_path / "out"), **knobs)
    plan = PlannedRun(run_id="r", config=config, manifest_uri=manifest, folder_uri=str(tmp_path / "out"), row_count=2)

    assert in_words(plan) == words
