"""The summary of a run, the exit code it calls for, and results loaded for dashboards."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.error_codes import ErrorCode
from manifests.errors import RunFolderError
from manifests.load import load_results
from manifests.merge import merge_results
from manifests.outcomes import Outcome, State
from manifests.reader import open_manifest
from manifests.run_folder import RunFolder
from manifests.summary import Expected, RunSummary, Totals, read_summary, summarise, write_summary
from tests.manifests.factories import interrupted, pictures, succeeded, write_manifest

AT = datetime(2026, 11, 20, 13, tzinfo=UTC)


def a_run(tmp_path: Path, outcomes: Sequence[Outcome], run_id: str = "night-1", **foreign: object) -> RunFolder:
    columns = {"item_id": [outcome.item_id for outcome in outcomes], "image_uri": pictures(len(outcomes)), **foreign}
    manifest = open_manifest(write_manifest(tmp_path / f"{run_id}.parquet", columns))
    folder = RunFolder.under(str(tmp_path / "out"), run_id)
    for ref in manifest.batches():
        folder.write_part(manifest.read(ref), outcomes[ref.first_row : ref.first_row + ref.length])
    merge_results(folder, manifest, unfinished=interrupted)
    return folder


def deferred(item_id: str, code: ErrorCode) -> Outcome:
    return Outcome(item_id=item_id, state=State.DEFERRED, error_code=code)


def test_a_summary_adds_up_what_the_results_record(tmp_path: Path) -> None:
    outcomes = [
        *(
            succeeded(f"A{n}", started_at=AT + timedelta(seconds=n), finished_at=AT + timedelta(seconds=n + 5))
            for n in range(60)
        ),
        succeeded("B", reused=True, credits=Decimal(0), cost_usd=Decimal(0), attempts=0, provider="runflow"),
        Outcome(
            item_id="C",
            state=State.FAILED,
            error_code=ErrorCode.OUTPUT_BLANK,
            provider="maskr",
            attempts=3,
            cost_usd=Decimal("1.44"),
        ),
        deferred("D", ErrorCode.BUDGET_REACHED),
    ]

    summary = summarise(a_run(tmp_path, outcomes), "s3://user:secret@bucket/m.parquet?X-Amz-Signature=secret")

    assert summary.totals == Totals(rows=63, succeeded=61, attempts=63, credits=Decimal(180), cost_usd=Decimal("30.24"))
    assert summary.by_state == {State.SUCCEEDED: 61, State.FAILED: 1, State.DEFERRED: 1}
    assert summary.by_error_code == {ErrorCode.OUTPUT_BLANK: 1, ErrorCode.BUDGET_REACHED: 1}
    assert summary.by_provider["runflow"] == Totals(rows=1, succeeded=1)
    assert summary.by_provider["maskr"].cost_usd == Decimal("30.24")
    assert (summary.reused, summary.started_at, summary.duration_s) == (1, AT, 64.0)
    assert summary.manifest == "s3://bucket/m.parquet"


def test_a_summary_survives_being_written_down(tmp_path: Path) -> None:
    folder = a_run(tmp_path, [succeeded("A", started_at=AT, finished_at=AT), deferred("B", ErrorCode.OUT_OF_CREDITS)])
    expected = Expected(cost_usd=Decimal("0.96"), duration_s=4.5)
    summary = replace(summarise(folder, "m.parquet"), plan=expected)

    write_summary(folder, summary)

    assert read_summary(folder) == summary
    assert '"cost_usd": "0.480000"' in Path(folder.summary_uri).read_text()
    assert RunSummary.from_json(summary.to_json().replace('"run_id"', '"added_later": 1, "run_id"', 1)) == summary


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([succeeded("A"), succeeded("B", reused=True)], 0),
        ([succeeded("A"), Outcome(item_id="B", state=State.REJECTED, error_code=ErrorCode.MASK_EMPTY)], 3),
        ([succeeded("A"), Outcome(item_id="B", state=State.IN_DOUBT, error_code=ErrorCode.IN_DOUBT)], 3),
        ([succeeded("A"), deferred("B", ErrorCode.INTERRUPTED)], 3),
        ([succeeded("A"), deferred("B", ErrorCode.BUDGET_REACHED)], 4),
        ([deferred("A", ErrorCode.DEADLINE_REACHED), deferred("B", ErrorCode.OUT_OF_CREDITS)], 4),
    ],
)
def test_the_exit_code_tells_schedulers_how_it_ended(tmp_path: Path, outcomes: list[Outcome], code: int) -> None:
    assert summarise(a_run(tmp_path, outcomes), "m.parquet").exit_code == code


def test_a_run_without_results_has_no_summary(tmp_path: Path) -> None:
    folder = RunFolder.under(str(tmp_path), "night-1")

    with pytest.raises(RunFolderError, match=r"results\.parquet: cannot be read"):
        summarise(folder, "m.parquet")
    with pytest.raises(RunFolderError, match=r"no summary\.json"):
        read_summary(folder)


def test_all_runs_of_a_folder_load_as_one_typed_table(tmp_path: Path) -> None:
    a_run(tmp_path, [succeeded("A", quality={"sharpness": 1.0})], "night-1", sku=[7], brand=["x"])
    a_run(tmp_path, [succeeded("A"), deferred("B", ErrorCode.INTERRUPTED)], "night-2", sku=["S7", None])
    (tmp_path / "out" / "run_id=night-3").mkdir()

    frame = load_results(str(tmp_path / "out"))

    assert frame.groupby("run_id")["cost_usd"].sum().to_dict() == {
        "night-1": Decimal("0.48"),
        "night-2": Decimal("0.48"),
    }
    assert frame["sku"].to_list() == ["7", "S7", pd.NA]
    assert frame["brand"].isna().tolist() == [False, True, True]
    assert frame.dtypes["cost_usd"].pyarrow_dtype == pa.decimal128(18, 6)
    assert frame.dtypes["finished_at"].pyarrow_dtype == pa.timestamp("us", tz="UTC")
    assert frame["quality_sharpness"].isna().tolist() == [False, True, True]


def test_results_of_an_older_version_load_with_what_they_lack_as_nulls(tmp_path: Path) -> None:
    folder = a_run(tmp_path, [succeeded("A")])
    table = pq.ParquetFile(folder.results_uri).read()
    pq.write_table(
        table.drop_columns(["repairs", "reused", "attempts", "content_key", "quality_inside_change"]),
        folder.results_uri,
    )

    frame = load_results(folder.uri)

    assert frame["repairs"].isna().all()
    assert frame["content_key"].dtype.pyarrow_dtype == pa.string()
    assert frame["attempts"].tolist() == [0]
    assert summarise(folder, "m.parquet").totals.attempts == 0
    rows = open_manifest(folder.results_uri)
    outcomes = folder.read_outcomes(rows.read(rows.batch(0)))
    assert outcomes is not None
    assert outcomes[0].cost_usd == Decimal("0.48")


@pytest.mark.parametrize("place", ["nowhere", "empty", "rubbish/results.parquet"])
def test_what_holds_no_results_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "results.parquet").write_bytes(b"rubbish")

    with pytest.raises(RunFolderError, match=place):
        load_results(str(tmp_path / place))
