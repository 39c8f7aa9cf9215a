"""What was delivered before is recognised in bulk: no batch is worked on, and the results are as if it had been."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.items import BatchRef
from tasks.config import CleanupConfig, load_settings
from tasks.credits import AccountTerms, AttemptIntent, Ledger, Spend
from tasks.editing.planned_run import PlannedRun
from tasks.editing.planning import plan_run
from tasks.editing.results import join_results
from tasks.editing.runtimes import closing_runtime, runtime_of
from tasks.editing.sweep import batches_with_work
from tests.factories.catalogs import write_catalog
from tests.manifests.factories import outcomes_for
from tests.without_prefect import clean

ROWS = 130


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    monkeypatch.setenv("CLEANPLATE_PROVIDERS__LOCAL__ENGINE", "telea")
    return tmp_path


@pytest.fixture
def delivered(folder: Path) -> Path:
    """A manifest whose every row was delivered last night."""
    manifest = write_catalog(folder / "in", ROWS, extra={"shelf": list(range(ROWS))})
    assert clean(knobs(folder, "last-night")).exit_code == 0
    return manifest


def knobs(folder: Path, run_id: str, **more: object) -> CleanupConfig:
    facts = {"manifest": str(folder / "in" / "manifest.parquet"), "to": str(folder / "out"), "run_id": run_id, **more}
    return CleanupConfig.model_validate(facts)


@contextmanager
def planned(config: CleanupConfig, *, retry: bool = False) -> Iterator[PlannedRun]:
    plan = plan_run(config, load_settings(), retry=retry)
    with closing_runtime(plan):
        yield plan


def work_of(plan: PlannedRun) -> list[BatchRef]:
    return list(batches_with_work(plan, lambda: runtime_of(plan)))


def results(folder: Path, run_id: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "out" / f"run_id={run_id}" / "results.parquet")


def test_what_was_delivered_leaves_no_batch_to_work_on(folder: Path, delivered: Path) -> None:
    with planned(knobs(folder, "tonight")) as plan:
        assert work_of(plan) == []
        summary = join_results(plan)

    found, before = results(folder, "tonight"), results(folder, "last-night")
    assert (summary.rows, summary.reused, summary.totals.cost_usd) == (ROWS, ROWS, 0)
    assert list(found.item_id) == list(before.item_id)
    assert list(found.shelf) == list(range(ROWS))
    assert list(found.output_sha256) == list(before.output_sha256)
    assert list(found.batch_id) == [f"tonight/{row // 50:06d}" for row in range(ROWS)]
    assert not (folder / "out" / "run_id=tonight" / "_parts").exists()


def test_only_the_batch_with_a_change_is_worked_on(folder: Path, delivered: Path) -> None:
    """One source was replaced, one delivered file is gone: two of three batches."""
    (folder / "in" / "0.jpg").write_bytes((folder / "in" / "1.jpg").read_bytes())
    Path(results(folder, "last-night").output_uri[129]).unlink()

    with planned(knobs(folder, "tonight")) as plan:
        assert [batch.index for batch in work_of(plan)] == [0, 2]
    assert clean(knobs(folder, "tonight")).exit_code == 0

    found = results(folder, "tonight")
    assert list(found.item_id) == [f"item-{n:05d}" for n in range(ROWS)]
    assert found.reused.sum() >= ROWS - 2
    assert not found.reused[129]


def test_a_sweep_that_was_cut_off_is_not_done_again(folder: Path, delivered: Path) -> None:
    with planned(knobs(folder, "tonight")) as plan:
        work_of(plan)
        parts = folder / "out" / "run_id=tonight" / "_parts"
        written = {path: path.stat().st_mtime_ns for path in parts.rglob("*.parquet")}

    with planned(knobs(folder, "tonight")) as plan:
        assert work_of(plan) == []
        assert {path: path.stat().st_mtime_ns for path in parts.rglob("*.parquet")} == written
        assert runtime_of(plan).progress.snapshot(1e9).done == ROWS
        assert join_results(plan).reused == ROWS


def test_a_finished_run_has_no_work_again_and_keeps_what_it_says(folder: Path, delivered: Path) -> None:
    before = results(folder, "last-night")

    for retry in (False, True):
        with planned(knobs(folder, "last-night"), retry=retry) as plan:
            assert work_of(plan) == []
            join_results(plan)

    pd.testing.assert_frame_equal(results(folder, "last-night"), before)


def test_a_retry_works_only_on_batches_with_rows_that_did_not_succeed(folder: Path) -> None:
    write_catalog(folder / "in", ROWS)
    hidden = (folder / "in" / "60.jpg").rename(folder / "60.jpg")
    assert clean(knobs(folder, "run")).exit_code == 3
    hidden.rename(folder / "in" / "60.jpg")

    with planned(knobs(folder, "run"), retry=True) as plan:
        assert [batch.index for batch in work_of(plan)] == [1]
    assert clean(knobs(folder, "run"), retry=True).exit_code == 0


def test_a_row_at_fault_stays_rejected_in_a_batch_that_is_known(folder: Path) -> None:
    manifest = write_catalog(folder / "in", 60)
    table = pq.read_table(manifest)
    names = table["item_id"].to_pylist()
    names[7] = "../x"
    pq.write_table(table.set_column(0, "item_id", pa.array(names)), manifest)
    assert clean(knobs(folder, "last-night")).exit_code == 3

    with planned(knobs(folder, "tonight")) as plan:
        assert work_of(plan) == []
        summary = join_results(plan)

    assert (summary.reused, summary.rows) == (59, 60)
    assert results(folder, "tonight").error_code[7] == "unsafe_item_id"


def test_fresh_runs_edit_everything_again(folder: Path, delivered: Path) -> None:
    with planned(knobs(folder, "tonight", reuse=False)) as plan:
        assert len(work_of(plan)) == 3


def test_what_this_run_paid_for_before_it_died_is_told_as_paid(folder: Path, delivered: Path) -> None:
    """The process died after the picture was stored and before its batch was recorded; a copy of the row is reused."""
    before = results(folder, "last-night")
    asyncio.run(pay_again(folder, "tonight", before.item_id[7], before.content_key[7]))
    table = pq.read_table(delivered)
    copy = table.slice(7, 1).set_column(0, "item_id", pa.array(["copy"]))
    pq.write_table(pa.concat_tables([table, copy]), delivered)

    with planned(knobs(folder, "tonight")) as plan:
        assert work_of(plan) == []
        counted = runtime_of(plan).progress.snapshot(1e9)
        join_results(plan)

    found = results(folder, "tonight").set_index("item_id")
    assert list(found.index[~found.reused]) == ["item-00007"]
    assert (found.cost_usd["item-00007"], found.attempts["item-00007"]) == (Decimal("0.48"), 1)
    assert (found.cost_usd["copy"], found.attempts["copy"]) == (0, 0)
    assert (counted.done, counted.reused, counted.cost_usd) == (ROWS + 1, ROWS, Decimal("0.48"))


async def pay_again(folder: Path, run_id: str, item_id: str, content_key: str) -> None:
    """As if this run had sent the row itself, and delivered it."""
    async with await Ledger.open(f"sqlite:///{folder / 'ledger.sqlite3'}") as ledger:
        delivery = (await ledger.delivered([content_key]))[content_key]
        await ledger.forget_deliveries([content_key])
        await ledger.open_account("maskr", AccountTerms())
        await ledger.open_run(run_id, None)
        price = Decimal("0.48")
        intent = AttemptIntent(attempt_key="a", item_id=item_id, content_key=content_key, usd=price)
        async with ledger.reserve(Spend(run_id=run_id, provider="maskr", attempts=(intent,))) as reservation:
            await reservation.sent()
            await reservation.settle("a", usd=price, delivery=delivery)


def test_a_batch_that_was_begun_is_handed_on_beside_those_that_are_known(folder: Path, delivered: Path) -> None:
    with planned(knobs(folder, "tonight")) as plan:
        begun = plan.manifest.read(plan.manifest.batch(1))
        plan.folder.write_part(begun, outcomes_for(begun))

        assert [batch.index for batch in work_of(plan)] == [1]
        assert list(plan.folder.stretches.covered(0, 3)) == [range(1), range(2, 3)]
