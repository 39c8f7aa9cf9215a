"""Finding runs that are worth another try."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from manifests import ErrorCode, State
from manifests.run_folder import RunFolder
from manifests.summary import RunSummary, Totals, write_summary
from tasks.config import CleanupConfig
from tasks.config.upkeep import RetryDeferredConfig
from tasks.deferred import DeferredRun, choose, find_deferred

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def a_run(to: str, run_id: str, *, hours_ago: float = 1, budget: str | None = "50", **causes: int) -> None:
    """A finished run; `causes`: error code → rows, all deferred."""
    folder = RunFolder.under(to, run_id)
    codes = {ErrorCode(code): count for code, count in causes.items()}
    deferred = sum(codes.values())
    folder.write_config(
        CleanupConfig(manifest="m.parquet", to=to, run_id=run_id, budget_usd=budget).model_dump(mode="json")
    )
    write_summary(
        folder,
        RunSummary(
            run_id=run_id,
            manifest="m.parquet",
            results_uri=folder.results_uri,
            totals=Totals(rows=100, succeeded=100 - deferred),
            by_state={State.SUCCEEDED: 100 - deferred, State.DEFERRED: deferred},
            by_error_code=codes,
        ),
    )
    if "://" not in to:
        moment = (NOW - timedelta(hours=hours_ago)).timestamp()
        os.utime(folder.summary_uri, (moment, moment))


def found(to: str, **knobs: object) -> list[DeferredRun]:
    return find_deferred(RetryDeferredConfig.model_validate({"to": to, **knobs}), now=NOW)


def chosen(to: str, **knobs: object) -> list[str]:
    config = RetryDeferredConfig.model_validate({"to": to, **knobs})
    return [run.run_id for run in choose(find_deferred(config, now=NOW), config)]


@pytest.mark.parametrize("cause", ["out_of_credits", "provider_unavailable", "deadline_reached", "interrupted"])
def test_what_time_may_mend_is_taken_up(tmp_path: Path, cause: str) -> None:
    a_run(str(tmp_path), "r1", **{cause: 7})

    [run] = found(str(tmp_path))

    assert run.waiting == 7
    assert chosen(str(tmp_path)) == ["r1"]


@pytest.mark.parametrize("cause", ["budget_reached", "no_provider"])
def test_what_needs_a_person_is_shown_and_left_alone(tmp_path: Path, cause: str) -> None:
    a_run(str(tmp_path), "r1", **{cause: 7})

    assert [(run.run_id, run.waiting) for run in found(str(tmp_path))] == [("r1", 0)]
    assert chosen(str(tmp_path)) == []


def test_a_retry_keeps_the_run_s_own_budget_and_id(tmp_path: Path) -> None:
    a_run(str(tmp_path), "r1", budget="9.60", out_of_credits=1)

    [run] = found(str(tmp_path))

    assert run.config is not None
    assert (str(run.config.budget_usd), run.config.run_id) == ("9.60", "r1")


def test_a_run_with_nothing_deferred_is_not_listed(tmp_path: Path) -> None:
    a_run(str(tmp_path), "r1")

    assert found(str(tmp_path)) == []


def test_the_newest_come_first_and_the_oldest_not_at_all(tmp_path: Path) -> None:
    for hours, run_id in ((5, "b"), (1, "c"), (30, "a"), (24 * 8, "ancient")):
        a_run(str(tmp_path), run_id, hours_ago=hours, out_of_credits=1)

    assert chosen(str(tmp_path)) == ["c", "b", "a"]
    assert chosen(str(tmp_path), max_runs=2) == ["c", "b"]
    assert chosen(str(tmp_path), max_age="6h") == ["c", "b"]


def test_every_date_of_a_dated_output_is_looked_at(tmp_path: Path) -> None:
    for day in ("2026-11-19", "2026-11-20"):
        a_run(f"{tmp_path}/{day}/out", f"r-{day}", out_of_credits=1)

    assert sorted(chosen(f"{tmp_path}/{{scheduled:%Y-%m-%d}}/out/")) == ["r-2026-11-19", "r-2026-11-20"]


def test_a_bucket_is_looked_at_like_a_folder() -> None:
    to = "memory://catalog/out"
    a_run(to, "r1", out_of_credits=2)

    try:
        [run] = find_deferred(RetryDeferredConfig(to=to), now=datetime.now(UTC))
        assert (run.run_id, run.waiting, run.config is not None) == ("r1", 2, True)
    finally:
        fsspec.filesystem("memory").rm("/catalog", recursive=True)


@pytest.mark.parametrize("broken", ["summary.json", "run.json"])
def test_a_damaged_run_is_named_and_does_not_hide_the_others(tmp_path: Path, broken: str) -> None:
    a_run(str(tmp_path), "good", out_of_credits=1)
    a_run(str(tmp_path), "damaged", out_of_credits=1)
    file = tmp_path / "run_id=damaged" / broken
    file.write_text("{")
    moment = NOW.timestamp()
    os.utime(file, (moment, moment))

    runs = {run.run_id: run for run in found(str(tmp_path))}

    assert "cannot be used" in runs["damaged"].why_not
    assert chosen(str(tmp_path)) == ["good"]


def test_a_place_without_runs_holds_none(tmp_path: Path) -> None:
    assert found(str(tmp_path / "nothing")) == []
