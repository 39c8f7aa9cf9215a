"""Decisions lie in the run's folder, the newest word counts, and what is to be redone becomes a manifest."""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from manifests.reader import open_manifest
from manifests.schemas import MANIFEST_SCHEMA
from tasks.report.dashboard.decisions import DecisionStore, Verdict, parquet_bytes
from tasks.report.dashboard.redo import redo_table
from tasks.report.database import Database
from tasks.report.places import FoundRun, find_runs
from tests.factories.run_folders import Picture, make_run


def ticking() -> Callable[[], datetime]:
    """A clock that moves a second a look."""
    seconds = iter(range(10_000))
    return lambda: datetime(2026, 11, 3, tzinfo=UTC) + timedelta(seconds=next(seconds))


def the_run(place: Path) -> FoundRun:
    (run,) = find_runs(str(place))
    return run


def redone_from(store: DecisionStore, *runs: FoundRun) -> pa.Table:
    database = Database(runs)
    try:
        return redo_table(database, store.of_runs(runs))
    finally:
        database.close()


def delivered(place: Path, count: int) -> list[str]:
    table = pq.read_table(place / "results.parquet", columns=["item_id", "state"]).to_pylist()
    return [row["item_id"] for row in table if row["state"] == "succeeded"][:count]


def test_the_newest_word_counts_and_can_be_taken_back(reviewable: Path) -> None:
    run, store = the_run(reviewable), DecisionStore(now=ticking(), reviewer="mara")

    store.decide(run, "a", Verdict.ACCEPT, note="  fine ")
    store.decide(run, "a", Verdict.REDO, redo_provider="runflow")
    store.decide(run, "b", Verdict.REJECT)
    store.decide(run, "b", Verdict.NONE)

    found = store.of_run(run)
    assert list(found) == ["a"]
    assert (found["a"].decision, found["a"].redo_provider, found["a"].reviewer) == (Verdict.REDO, "runflow", "mara")


def test_decisions_outlive_the_session_and_every_word_is_kept(reviewable: Path) -> None:
    first = DecisionStore(now=ticking(), reviewer="mara")
    first.decide(the_run(reviewable), "a", Verdict.ACCEPT, note="fine")
    first.decide(the_run(reviewable), "a", Verdict.REJECT, note="a seam", output_sha256="ab12")

    found = DecisionStore().of_runs([the_run(reviewable)])

    assert [(one.item_id, one.decision, one.note, one.output_sha256) for _, one in found] == [
        ("a", "reject", "a seam", "ab12")
    ]
    (file,) = (reviewable / "_review").glob("decisions-*.parquet")
    assert pq.read_table(file).column("decision").to_pylist() == ["accept", "reject"]


def test_two_sessions_do_not_overwrite_each_other(reviewable: Path) -> None:
    run, now = the_run(reviewable), ticking()
    one, other = DecisionStore(now=now), DecisionStore(now=now)

    one.decide(run, "a", Verdict.ACCEPT)
    other.decide(run, "a", Verdict.REJECT)
    one.decide(run, "b", Verdict.ACCEPT)

    third = DecisionStore().of_run(the_run(reviewable))
    assert {item: decision.decision for item, decision in third.items()} == {"a": "reject", "b": "accept"}


def test_others_decisions_are_seen_after_a_while(reviewable: Path) -> None:
    clock = [0.0]
    run, now = the_run(reviewable), ticking()
    mine = DecisionStore(now=now, clock=lambda: clock[0])
    assert mine.of_run(run) == {}

    DecisionStore(now=now).decide(run, "a", Verdict.ACCEPT)

    assert mine.of_run(run) == {}
    clock[0] = 31.0
    assert list(mine.of_run(run)) == ["a"]


def test_a_torn_or_foreign_file_holds_no_decision(reviewable: Path) -> None:
    (reviewable / "_review").mkdir()
    (reviewable / "_review" / "decisions-torn.parquet").write_bytes(b"PAR1 half")
    shutil.copy(reviewable / "results.parquet", reviewable / "_review" / "decisions-other.parquet")

    assert DecisionStore().of_run(the_run(reviewable)) == {}


def test_a_folder_that_cannot_be_written_records_nothing(reviewable: Path) -> None:
    (reviewable / "_review").write_text("in the way")
    store = DecisionStore(now=ticking())

    with pytest.raises(OSError, match="_review"):
        store.decide(the_run(reviewable), "a", Verdict.ACCEPT)
    (reviewable / "_review").unlink()
    assert DecisionStore().of_run(the_run(reviewable)) == {}


def test_the_redo_manifest_is_a_manifest_of_just_those_rows(reviewable: Path, tmp_path: Path) -> None:
    run, store = the_run(reviewable), DecisionStore(now=ticking())
    kept, redone, pinned, taken_back = delivered(reviewable, 4)
    store.decide(run, kept, Verdict.ACCEPT)
    store.decide(run, redone, Verdict.REDO, note="blurred hem")
    store.decide(run, pinned, Verdict.REDO, redo_provider="runflow")
    store.decide(run, taken_back, Verdict.REDO)
    store.decide(run, taken_back, Verdict.NONE)

    table = redone_from(store, run)
    (tmp_path / "redo.parquet").write_bytes(parquet_bytes(table))

    manifest = open_manifest(str(tmp_path / "redo.parquet"))
    (batch,) = manifest.batches()
    items = {item.item_id: item for item in manifest.read(batch).items}
    assert {name: item.provider for name, item in items.items()} == {redone: None, pinned: "runflow"}
    rows = {row["item_id"]: row for row in table.to_pylist()}
    assert rows[redone]["redo_note"] == "blurred hem"
    assert rows[redone]["redo_of_run_id"] == run.run_id
    assert rows[redone]["sku"].startswith("SKU-")
    assert table.schema.names[: len(MANIFEST_SCHEMA.names)] == MANIFEST_SCHEMA.names


def test_what_has_been_delivered_since_is_not_redone_and_paid_again(
    photographs: Sequence[Picture], tmp_path: Path
) -> None:
    before, after = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)
    make_run(tmp_path, photographs, rows=6, run_id="first", started_at=before)
    store = DecisionStore(now=ticking())  # on the third
    (run,) = find_runs(str(tmp_path))
    for item in delivered(tmp_path / "run_id=first", 2):
        store.decide(run, item, Verdict.REDO)
    assert redone_from(store, run).num_rows == 2

    redo = make_run(tmp_path, photographs, rows=6, run_id="second", started_at=after)
    table = pq.read_table(redo / "results.parquet")
    pq.write_table(table.filter(pc.equal(table["item_id"], delivered(redo, 1)[0])), redo / "results.parquet")

    rows = redone_from(store, *find_runs(str(tmp_path))).to_pylist()
    assert [row["item_id"] for row in rows] == delivered(tmp_path / "run_id=first", 2)[1:]


def test_an_item_judged_in_two_runs_is_redone_once_as_last_decided(
    photographs: Sequence[Picture], tmp_path: Path
) -> None:
    for run_id in ("one", "two"):
        make_run(tmp_path, photographs, rows=6, run_id=run_id)
    one, two = find_runs(str(tmp_path))
    store = DecisionStore(now=ticking())
    first, second = delivered(tmp_path / "run_id=one", 2)
    store.decide(one, first, Verdict.REDO, redo_provider="maskr")
    store.decide(two, first, Verdict.REDO, redo_provider="runflow")
    store.decide(one, second, Verdict.REDO)
    store.decide(two, second, Verdict.ACCEPT)

    rows = redone_from(store, one, two).to_pylist()

    assert [(row["item_id"], row["provider"], row["redo_of_run_id"]) for row in rows] == [(first, "runflow", "two")]
