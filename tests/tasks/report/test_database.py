"""One relation over results of every version and shape, and five views that add up."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.schemas import OUTCOME_SCHEMA
from tasks.config.imaging import QualitySettings
from tasks.report.database import RESULT_COLUMNS, Database, view_sql
from tasks.report.places import ResultsNotFoundError, find_runs
from tests.factories.run_folders import Picture, make_run

OpenDatabase = Callable[[object], Database]


@pytest.fixture
def database() -> Iterator[OpenDatabase]:
    """Opens places; closes them after the test."""
    opened: list[Database] = []

    def open_one(place: object) -> Database:
        opened.append(Database(find_runs(str(place))))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def rows(finished_run: Path) -> pd.DataFrame:
    return pd.read_parquet(finished_run / "results.parquet", dtype_backend="pyarrow")


def drop_columns(folder: Path, names: Sequence[str]) -> None:
    table = pq.read_table(folder / "results.parquet")
    pq.write_table(table.drop_columns(list(names)), folder / "results.parquet")


def test_spend_by_day_adds_up_to_the_results(finished_run: Path, rows: pd.DataFrame, database: OpenDatabase) -> None:
    found = database(finished_run).query("SELECT * FROM spend_by_day")

    assert sum(line["items"] for line in found) == len(rows)
    assert sum(line["cost_usd"] for line in found) == rows["cost_usd"].sum()
    by_provider = rows.groupby("provider")["cost_usd"].sum()
    assert sum(line["cost_usd"] for line in found if line["provider"] == "runflow") == by_provider["runflow"]


def test_failures_by_cause_counts_each_row_that_was_not_delivered(
    finished_run: Path, rows: pd.DataFrame, database: OpenDatabase
) -> None:
    found = database(finished_run).query("SELECT cause, sum(items)::INT AS items FROM failures_by_cause GROUP BY cause")

    assert {line["cause"]: line["items"] for line in found} == rows["error_code"].value_counts().to_dict()


def test_the_scorecard_leaves_reused_rows_out(finished_run: Path, rows: pd.DataFrame, database: OpenDatabase) -> None:
    found = database(finished_run).query(
        "SELECT provider, sum(items)::INT AS items FROM provider_scorecard GROUP BY ALL"
    )

    worked = rows[~rows["reused"]].dropna(subset="provider")
    assert {line["provider"]: line["items"] for line in found} == worked.groupby("provider").size().to_dict()


def test_latest_by_item_prefers_the_newest_fact(
    photographs: Sequence[Picture], tmp_path: Path, database: OpenDatabase
) -> None:

    make_run(tmp_path, photographs, rows=8, run_id="old", started_at=datetime(2026, 1, 1, tzinfo=UTC))
    make_run(tmp_path, photographs, rows=8, run_id="new", started_at=datetime(2026, 2, 1, tzinfo=UTC))

    found = database(tmp_path).query("SELECT item_id, run_id FROM latest_by_item")

    assert len(found) == 8
    assert {line["run_id"] for line in found} == {"new"}


def test_review_scores_fall_with_drift_seams_and_faintness(
    photographs: Sequence[Picture], tmp_path: Path, database: OpenDatabase
) -> None:
    folder = make_run(tmp_path, photographs, rows=6, seed=3)
    table = pq.read_table(folder / "results.parquet").to_pandas(types_mapper=pd.ArrowDtype)
    table = table[table["state"] == "succeeded"].head(5).reset_index(drop=True)
    table["item_id"] = ["clean", "drifted", "seamed", "faint", "unmeasured"]
    table["quality_outside_mean_delta"] = pd.array([0, 8, 0, 0, None], dtype="float64[pyarrow]")
    table["quality_outside_max_delta"] = pd.array([0, 200, 0, 0, None], dtype="float64[pyarrow]")
    table["quality_seam"] = pd.array([0, 0, 24, 0, None], dtype="float64[pyarrow]")
    table["quality_inside_p99"] = pd.array([90, 90, 90, 12, None], dtype="float64[pyarrow]")
    table["quality_inside_change"] = pd.array([40, 40, 40, 40, None], dtype="float64[pyarrow]")
    table.to_parquet(folder / "results.parquet")

    found = database(folder).query("SELECT item_id, review_score, review_reason FROM review_queue")

    assert {line["item_id"]: (line["review_score"], line["review_reason"]) for line in found} == {
        "clean": (100, None),
        "drifted": (50, "drift"),
        "seamed": (0, "seam"),
        "faint": (40, "faint"),
        "unmeasured": (100, None),
    }


def test_scores_are_set_against_the_gates_own_limits() -> None:
    limits, sql = QualitySettings(), view_sql("review_queue")

    assert f"quality_outside_mean_delta / {limits.max_outside_mean_delta:g}" in sql
    assert f"quality_seam / {limits.max_seam:g}" in sql
    assert f"(quality_inside_p99 - {limits.unchanged_p99:g})" in sql


def test_a_file_of_an_older_version_reads_with_nulls(
    photographs: Sequence[Picture], tmp_path: Path, database: OpenDatabase
) -> None:
    """Run folders written before a column existed stand beside those that have it."""
    old = make_run(tmp_path, photographs, rows=8, run_id="old")
    make_run(tmp_path, photographs, rows=8, run_id="new")
    drop_columns(old, ["provider_pin", "quality_seam", "quality_outside_mean_delta", "repairs", "reference_uri"])

    both, alone = database(tmp_path), database(old)

    assert both.query("SELECT count(*) AS n FROM results") == [{"n": 16}]
    assert alone.query("SELECT count(quality_seam) AS n, any_value(provider_pin) AS pin FROM results") == [
        {"n": 0, "pin": None}
    ]
    for view in ("spend_by_day", "failures_by_cause", "provider_scorecard", "latest_by_item", "review_queue"):
        assert alone.query(f"SELECT count(*) AS n FROM {view}")[0]["n"] > 0  # noqa: S608 - our own names


def test_money_stays_exact_and_times_stay_utc(finished_run: Path, database: OpenDatabase) -> None:
    (row,) = database(finished_run).query("SELECT sum(cost_usd) AS usd, min(started_at) AS first FROM results")

    assert isinstance(row["usd"], Decimal)
    assert row["first"].utcoffset().total_seconds() == 0


@pytest.mark.parametrize("name", ['semi;colon"quote', "State", "_row", "filename", "select"])
def test_foreign_columns_of_any_name_do_no_harm(
    photographs: Sequence[Picture], tmp_path: Path, name: str, database: OpenDatabase
) -> None:
    folder = make_run(tmp_path, photographs, rows=6)
    table = pq.read_table(folder / "results.parquet")
    pq.write_table(table.append_column(name, pa.array(["theirs"] * 6)), folder / "results.parquet")

    opened = database(folder)

    (row,) = opened.query("SELECT * FROM results WHERE _row = 2")
    assert row["state"] in {"succeeded", "failed", "rejected", "deferred", "in_doubt"}
    assert opened.query("SELECT count(*) AS n FROM review_queue")[0]["n"] > 0


@pytest.mark.parametrize("damage", ["torn", "_file", "file_row_number"])
def test_one_unreadable_file_does_not_hide_the_others(
    photographs: Sequence[Picture], tmp_path: Path, damage: str, database: OpenDatabase
) -> None:
    make_run(tmp_path, photographs, rows=6, run_id="good")
    bad = make_run(tmp_path, photographs, rows=6, run_id="bad") / "results.parquet"
    if damage == "torn":
        bad.write_bytes(bad.read_bytes()[:1000])
    else:
        pq.write_table(pq.read_table(bad).append_column(damage, pa.array(["theirs"] * 6)), bad)

    opened = database(tmp_path)

    assert opened.query("SELECT DISTINCT run_id FROM results") == [{"run_id": "good"}]
    assert list(opened.unreadable) == [str(bad)]
    assert opened.unreadable[str(bad)]


def test_a_folder_name_of_any_kind_can_be_opened(
    photographs: Sequence[Picture], tmp_path: Path, database: OpenDatabase
) -> None:
    folder = make_run(tmp_path / "it's [odd] *", photographs, rows=3)

    assert database(folder).query("SELECT count(*) AS n FROM results") == [{"n": 3}]


def test_object_stores_read_like_folders(finished_run: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/shoes/run_id=a/results.parquet", (finished_run / "results.parquet").read_bytes())
    memory.pipe_file("/bucket/bags/run_id=a/results.parquet", (finished_run / "results.parquet").read_bytes())

    runs = find_runs("memory://bucket")

    assert [(run.key, run.catalog) for run in runs] == [("bags/run_id=a", "bags"), ("shoes/run_id=a", "shoes")]
    opened = Database(runs)
    assert opened.query("SELECT count(DISTINCT _file) AS files, count(*) AS n FROM results") == [{"files": 2, "n": 240}]
    opened.close()


def test_every_documented_column_is_in_the_relation(finished_run: Path, database: OpenDatabase) -> None:
    (row,) = database(finished_run).query("SELECT * FROM results LIMIT 1")

    assert set(OUTCOME_SCHEMA.names) <= set(RESULT_COLUMNS) <= set(row)


def test_a_query_that_takes_too_long_is_ended(finished_run: Path) -> None:
    slow = Database(find_runs(str(finished_run)), query_timeout_s=0.05)

    with pytest.raises(TimeoutError, match="longer than"):
        slow.query("SELECT count(*) FROM range(100000000) a, range(1000) b")
    slow.close()


def test_torn_summaries_are_empty_ones(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run_id=torn"
    folder.mkdir()
    (folder / "results.parquet").write_bytes((finished_run / "results.parquet").read_bytes())
    (folder / "summary.json").write_text('{"run_id": "to')
    (folder / "run.json").write_text("[1, 2]")

    (run,) = find_runs(str(tmp_path))

    assert (run.summary, run.config, run.finished) == ({}, {}, True)


def test_a_place_without_runs_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ResultsNotFoundError, match=r"run_id=<id>/results\.parquet"):
        find_runs(str(tmp_path))
