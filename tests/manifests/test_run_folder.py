"""Parts and the results manifest: one outcome for every row, whatever stops the run in between."""

import json
import pickle
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.error_codes import ErrorCode
from manifests.errors import RunFolderError
from manifests.merge import merge_results
from manifests.outcomes import Outcome, State
from manifests.reader import Manifest, open_manifest
from manifests.run_folder import RunFolder
from manifests.schemas import OUTCOME_SCHEMA, SCHEMA_VERSION
from tests.manifests.factories import interrupted, outcomes_for, pictures, succeeded, write_manifest


def a_manifest(tmp_path: Path, rows: int = 130, **columns: Any) -> Manifest:
    named = {"item_id": [f"I{number}" for number in range(rows)], "image_uri": pictures(rows)}
    return open_manifest(write_manifest(tmp_path / "m.parquet", {**named, **columns}, rows_per_group=70))


def a_folder(tmp_path: Path) -> RunFolder:
    return RunFolder.under(str(tmp_path / "out"), "night-1")


def results_of(folder: RunFolder) -> list[dict[str, Any]]:
    return pq.ParquetFile(folder.results_uri).read().to_pylist()


def test_results_hold_every_row_once_in_the_manifests_order(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    for index in (3, 0):
        rows = manifest.read(manifest.batch(index))
        folder.write_part(rows, outcomes_for(rows))

    assert merge_results(folder, manifest, unfinished=interrupted) == 130

    found = results_of(folder)
    assert [row["item_id"] for row in found] == [f"I{number}" for number in range(130)]
    assert [row["state"] for row in found] == ["succeeded"] * 50 + ["deferred"] * 70 + ["succeeded"] * 10
    assert {row["error_code"] for row in found[50:120]} == {"interrupted"}
    assert {row["batch_id"] for row in found[120:]} == {"night-1/000003"}
    assert {(row["run_id"], row["schema_version"]) for row in found} == {("night-1", SCHEMA_VERSION)}
    assert not (tmp_path / "out" / "run_id=night-1" / "_parts").exists()


def test_an_outcome_comes_back_as_it_was_written(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path, rows=2, provider=["maskr", None]), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))
    at = datetime(2026, 11, 20, 13, 15, 0, 123456, tzinfo=UTC)
    outcomes = (
        succeeded(
            "I0",
            provider="runflow",
            output_uri="s3://b/I0.jpg",
            output_sha256="ab",
            width=3,
            height=4,
            content_key="c1-x",
            reused=True,
            credits=Decimal("0.333333"),
            cost_usd=Decimal("0.1"),
            remote_id="r-1",
            quality={"outside_max_delta": 0.0, "sharpness": 1.5},
            repairs=("mask resized", "alpha flattened"),
            started_at=at,
            finished_at=at.replace(second=2),
        ),
        Outcome(item_id="I1", state=State.IN_DOUBT, error_code=ErrorCode.IN_DOUBT, error_message="look there"),
    )

    folder.write_part(rows, outcomes)
    from_part = folder.read_outcomes(rows)
    merge_results(folder, manifest, unfinished=interrupted)
    from_results = RunFolder(folder.uri).read_outcomes(rows)

    assert from_part == outcomes
    assert from_results == outcomes
    first = results_of(folder)[0]
    assert (first["provider"], first["provider_pin"], first["duration_ms"]) == ("runflow", "maskr", 2000)


def test_a_batch_without_record_has_no_outcomes(tmp_path: Path) -> None:
    manifest = a_manifest(tmp_path)

    assert a_folder(tmp_path).read_outcomes(manifest.read(manifest.batch(1))) is None


def test_retry_replaces_the_batches_it_took_up_and_keeps_the_rest(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))
    folder.write_part(rows, outcomes_for(rows, quality={"sharpness": 2.0}))
    merge_results(folder, manifest, unfinished=interrupted)

    again = RunFolder(folder.uri)
    results = open_manifest(again.manifest_uri("not asked"))
    rows = results.read(results.batch(1))
    again.write_part(rows, outcomes_for(rows, provider="local"))
    merge_results(again, results, unfinished=interrupted)

    found = results_of(folder)
    assert [row["provider"] for row in found] == ["maskr"] * 50 + ["local"] * 20 + [None] * 60
    assert [row["quality_sharpness"] for row in found[49:51]] == [2.0, None]


def test_parts_left_behind_after_the_results_were_published_are_not_taken_for_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between publishing and clearing up: of a manifest of many tiny groups the next round cuts its batches otherwise."""
    monkeypatch.setattr("manifests.merge._MOST_SMALL_GROUPS", 0)
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    for ref in manifest.batches():
        rows = manifest.read(ref)
        folder.write_part(rows, outcomes_for(rows))
    left_behind = {path: path.read_bytes() for path in (tmp_path / "out").rglob("batch-*.parquet")}
    merge_results(folder, manifest, unfinished=interrupted)
    for path, content in left_behind.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    again = RunFolder(folder.uri)
    results = open_manifest(again.results_uri)
    rows = results.read(results.batch(2))
    again.write_part(rows, outcomes_for(rows, provider="local"))
    merge_results(again, results, unfinished=interrupted)

    assert [row["provider"] for row in results_of(folder)] == ["maskr"] * 100 + ["local"] * 30


def test_results_are_their_own_manifest(tmp_path: Path) -> None:
    manifest = a_manifest(
        tmp_path, rows=3, sku=["a", None, "c"], state=["Ohio", None, "Utah"], provider=[None, "local", None]
    )
    folder = a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))
    folder.write_part(rows, outcomes_for(rows, quality={"sharpness": 1.0}))
    merge_results(folder, manifest, unfinished=interrupted)

    again = open_manifest(folder.results_uri)

    assert again.schema.equals(manifest.schema)
    assert again.read(again.batch(0)).table.to_pylist() == rows.table.to_pylist()
    assert again.read(again.batch(0)).items == rows.items


def test_rows_at_fault_are_rejected_even_in_batches_never_reached(tmp_path: Path) -> None:
    ids = ["A", "../../x", "A", "B"]
    uri = write_manifest(tmp_path / "m.parquet", {"item_id": ids, "image_uri": ["/a.jpg", "/b.jpg", "/c.jpg", None]})
    folder = a_folder(tmp_path)

    merge_results(folder, open_manifest(uri), unfinished=interrupted)

    found = results_of(folder)
    assert [row["item_id"] for row in found] == ids
    assert [row["error_code"] for row in found] == ["interrupted", "unsafe_item_id", "duplicate_item_id", "row_invalid"]
    assert [row["image_uri"] for row in found][3] is None


def test_foreign_columns_reach_the_results_unharmed(tmp_path: Path) -> None:
    shelf = pa.array(["a", None, "b"] * 40).dictionary_encode()
    price = pa.array([None, Decimal("1.50"), Decimal(2)] * 40, pa.decimal128(9, 2))
    manifest, folder = a_manifest(tmp_path, rows=120, shelf=shelf, price=price), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(1))
    folder.write_part(rows, outcomes_for(rows))

    merge_results(folder, manifest, unfinished=interrupted)

    table = pq.ParquetFile(folder.results_uri).read()
    assert table.schema.field("shelf").type == shelf.type
    assert table.schema.field("price").type == price.type
    assert table["shelf"].to_pylist() == shelf.to_pylist()
    assert table["price"].to_pylist() == price.to_pylist()


def test_results_explain_themselves(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path, rows=1), a_folder(tmp_path)
    merge_results(folder, manifest, unfinished=interrupted)

    schema = pq.read_schema(folder.results_uri)

    for field in OUTCOME_SCHEMA:
        assert schema.field(field.name).type.equals(field.type)
        assert schema.field(field.name).metadata[b"description"] == field.metadata[b"description"]


def test_pandas_duckdb_and_arrow_read_the_same(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    merge_results(folder, manifest, unfinished=interrupted)

    everything = duckdb.read_parquet(f"{tmp_path}/out/run_id=*/results.parquet", hive_partitioning=True)
    counted = everything.aggregate("run_id, count(*)").fetchall()

    assert counted == [("night-1", 130)]
    assert len(pd.read_parquet(folder.results_uri)) == 130
    assert pq.read_table(folder.results_uri, partitioning=None).num_rows == 130


def test_the_same_folder_serves_on_an_object_store(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), RunFolder.under(f"memory://{tmp_path.name}/out", "night-1")
    rows = manifest.read(manifest.batch(1))
    folder.write_config({"manifest": "m.parquet"})
    folder.write_part(rows, outcomes_for(rows, quality={"sharpness": 1.0}))

    merge_results(folder, manifest, unfinished=interrupted)

    again = RunFolder(folder.uri)
    results = open_manifest(again.manifest_uri("m.parquet"))
    outcomes = again.read_outcomes(results.read(results.batch(1)))
    assert outcomes is not None
    assert [outcome.state for outcome in outcomes] == ["succeeded"] * 20
    assert again.read_config() == {"manifest": "m.parquet"}
    assert list(again.part_indices(0, 100)) == []


def test_a_failure_while_merging_changes_nothing(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))
    folder.write_part(rows, outcomes_for(rows))

    def fails(item: object) -> Outcome:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        merge_results(folder, manifest, unfinished=fails)

    assert [path.name for path in Path(folder.uri).iterdir()] == ["_parts"]
    assert folder.read_outcomes(rows) == tuple(outcomes_for(rows))


def test_outcomes_of_other_items_are_refused(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))

    with pytest.raises(ValueError, match="not theirs, or in another order"):
        folder.write_part(rows, list(reversed(outcomes_for(rows))))
    with pytest.raises(ValueError, match="49 outcomes"):
        folder.write_part(rows, outcomes_for(rows)[1:])


def test_a_manifest_changed_under_a_run_is_noticed(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    for ref in manifest.batches():
        rows = manifest.read(ref)
        folder.write_part(rows, outcomes_for(rows))

    renamed = a_manifest(tmp_path / "renamed", item_id=[f"J{number}" for number in range(130)])
    with pytest.raises(RunFolderError, match="row 50 was item I50 and is now J50: the manifest has changed"):
        folder.read_outcomes(renamed.read(renamed.batch(1)))
    shorter = a_manifest(tmp_path / "shorter", rows=60)
    with pytest.raises(RunFolderError, match="was written for other rows: the manifest has changed"):
        folder.read_outcomes(shorter.read(shorter.batch(1)))
    merge_results(folder, manifest, unfinished=interrupted)
    longer = a_manifest(tmp_path / "longer", rows=180)
    with pytest.raises(RunFolderError, match="has 130 rows, and row 139 is asked for"):
        RunFolder(folder.uri).read_outcomes(longer.read(longer.batch(3)))


def test_a_merge_for_another_number_of_rows_publishes_nothing(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    merge_results(folder, manifest, unfinished=interrupted)
    before = Path(folder.results_uri).read_bytes()

    for rows in (180, 60):
        other = a_manifest(tmp_path / str(rows), rows=rows)
        with pytest.raises(RunFolderError, match=f"has 130 rows, the manifest {rows}: the manifest has changed"):
            merge_results(RunFolder(folder.uri), other, unfinished=interrupted)

    assert Path(folder.results_uri).read_bytes() == before


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))
    folder.write_part(rows, outcomes_for(rows))
    Path(folder.part_uri(0)).write_bytes(b"PAR1 rubbish PAR1")

    with pytest.raises(RunFolderError, match=r"batch-000000\.parquet: is damaged: remove it"):
        folder.read_outcomes(rows)


def test_readers_see_a_whole_part_or_none(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))
    stop = threading.Event()
    seen: set[str | None] = set()

    def watch() -> None:
        while not stop.is_set():
            outcomes = folder.read_outcomes(rows)
            seen.update({None} if outcomes is None else {outcome.provider for outcome in outcomes})

    watcher = threading.Thread(target=watch)
    watcher.start()
    for provider in ("local", "maskr") * 10:
        folder.write_part(rows, outcomes_for(rows, provider=provider))
    stop.set()
    watcher.join(30)

    assert not watcher.is_alive()
    assert seen <= {None, "local", "maskr"}
    assert seen


@settings(deadline=None, max_examples=12)
@given(rounds=st.lists(st.sets(st.integers(0, 6)), min_size=1, max_size=3), rows=st.integers(1, 150))
def test_whatever_is_done_in_whatever_round_each_row_has_its_last_outcome(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[set[int]], rows: int
) -> None:
    folder = tmp_path_factory.mktemp("rounds")
    manifest, run = a_manifest(folder, rows=rows), a_folder(folder)
    expected: list[str | None] = [None] * rows
    for number, batches in enumerate(rounds):
        for index in batches:
            if index < manifest.batch_count:
                batch = manifest.read(manifest.batch(index))
                run.write_part(batch, outcomes_for(batch, provider=f"p{number}"))
                start, length = batch.ref.first_row, batch.ref.length
                expected[start : start + length] = [f"p{number}"] * length
        merge_results(run, manifest, unfinished=interrupted)
        run = RunFolder(run.uri)
        manifest = open_manifest(run.manifest_uri(""))

    assert [row["provider"] for row in results_of(run)] == expected


@pytest.mark.parametrize("most_small_groups", [0, 1000])
def test_row_groups_of_the_results_are_whole_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_small_groups: int
) -> None:
    monkeypatch.setattr("manifests.merge.ROWS_PER_GROUP", 50)
    monkeypatch.setattr("manifests.merge._MOST_SMALL_GROUPS", most_small_groups)
    manifest, folder = a_manifest(tmp_path, rows=150), a_folder(tmp_path)

    merge_results(folder, manifest, unfinished=interrupted)

    lengths = open_manifest(folder.results_uri).row_group_lengths
    assert lengths == ((50, 20, 50, 20, 10) if most_small_groups else (50, 50, 50))


def test_results_are_cut_into_the_batches_of_their_manifest(tmp_path: Path) -> None:
    """So a run may be taken up by its manifest and by its results in turn."""
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    merge_results(folder, manifest, unfinished=interrupted)

    results = open_manifest(folder.results_uri)

    assert [(ref.index, ref.first_row, ref.length) for ref in results.batches()] == [
        (ref.index, ref.first_row, ref.length) for ref in manifest.batches()
    ]


def test_a_run_folder_travels_to_another_worker(tmp_path: Path) -> None:
    manifest, folder = a_manifest(tmp_path), a_folder(tmp_path)
    merge_results(folder, manifest, unfinished=interrupted)
    rows = manifest.read(manifest.batch(0))
    assert folder.read_outcomes(rows)

    copy = pickle.loads(pickle.dumps(folder))  # noqa: S301 - our own bytes

    assert copy.read_outcomes(rows) == folder.read_outcomes(rows)


@pytest.mark.parametrize("uri", ["/out/night-1", "/out/run_id=", "/out/run_id=..", "/out/run_id=a b"])
def test_a_folder_of_another_name_is_no_run_folder(uri: str) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        RunFolder(uri)


def test_configuration_is_kept_beside_the_run(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    with pytest.raises(RunFolderError, match=r"run\.json is missing"):
        folder.read_config()

    folder.write_config({"manifest": "m.parquet", "budget_usd": "12.50"})

    assert folder.read_config() == json.loads(Path(folder.config_uri).read_text())
    Path(folder.config_uri).write_text("{")
    with pytest.raises(RunFolderError, match=r"run\.json: is damaged"):
        folder.read_config()


@pytest.mark.parametrize("metric", ["Sharpness", "a-b", "a b", "", "é"])
def test_metric_names_must_be_column_names(tmp_path: Path, metric: str) -> None:
    manifest, folder = a_manifest(tmp_path, rows=1), a_folder(tmp_path)
    rows = manifest.read(manifest.batch(0))

    with pytest.raises(ValueError, match="no metric name"):
        folder.write_part(rows, outcomes_for(rows, quality={metric: 1.0}))
