"""What is left, how long it lasts, and how a run under way stands."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from manifests.items import BatchRef
from manifests.outcomes import Outcome, State
from manifests.reader import open_manifest
from manifests.run_folder import RunFolder
from tasks.report.dashboard.forecast import forecasts
from tasks.report.dashboard.ledger_facts import ProviderBalance
from tasks.report.dashboard.live import LiveRuns
from tasks.report.places import find_runs
from tests.factories.catalogs import write_catalog

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_credits_last_as_long_as_the_pace_of_the_last_days_lets_them() -> None:
    balances = [
        ProviderBalance(provider="maskr", credits=Decimal(100)),
        ProviderBalance(provider="runflow", usd=Decimal(9)),
    ]
    spent = {
        (date(2026, 11, 17), "maskr"): (Decimal(30), Decimal(1)),
        (date(2026, 11, 20), "maskr"): (Decimal(50), Decimal(1)),
        (date(2026, 9, 1), "maskr"): (Decimal(9_999), Decimal(1)),
        (date(2026, 11, 19), "runflow"): (Decimal(0), Decimal(6)),
    }

    maskr, runflow = forecasts(balances, spent, NOW)

    assert (maskr.left, maskr.per_day) == (100, 20)
    assert maskr.runs_out_at == datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert (runflow.left, runflow.per_day) == (9, 3)
    assert runflow.runs_out_at == datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize("left", [None, Decimal(5)])
def test_nothing_spent_or_nothing_known_forecasts_nothing(left: Decimal | None) -> None:
    (found,) = forecasts([ProviderBalance(provider="maskr", credits=left)], {}, NOW)

    assert found.runs_out_at is None


def test_a_balance_below_nothing_has_run_out() -> None:
    balance = ProviderBalance(provider="maskr", credits=Decimal(-3))

    (found,) = forecasts([balance], {(date(2026, 11, 20), "maskr"): (Decimal(7), Decimal(0))}, NOW)

    assert found.runs_out_at == NOW


def outcome(item_id: str, second: int, state: State = State.SUCCEEDED) -> Outcome:
    at = datetime(2026, 11, 20, 11, 0, second, tzinfo=UTC)
    return Outcome(item_id=item_id, state=state, cost_usd=Decimal("0.48"), started_at=at, finished_at=at)


@pytest.fixture
def running(tmp_path: Path) -> tuple[RunFolder, list[BatchRef]]:
    """A run that has begun and written nothing yet."""
    manifest = write_catalog(tmp_path / "catalog", 10, side=16)
    folder = RunFolder.under(str(tmp_path / "out"), "tonight")
    folder.write_config({"manifest": str(manifest), "budget_usd": "9.60"})
    return folder, list(open_manifest(str(manifest), batch_size=4).batches())


def write_part(folder: RunFolder, ref: BatchRef, *outcomes: Outcome) -> None:
    manifest = json.loads(Path(folder.config_uri).read_text())["manifest"]
    rows = open_manifest(manifest, batch_size=4).read(ref)
    folder.write_part(rows, outcomes)


def test_a_run_under_way_is_counted_from_its_parts(running: tuple[RunFolder, list[BatchRef]], tmp_path: Path) -> None:
    folder, batches = running
    clock = [0.0]
    live = LiveRuns(clock=lambda: clock[0])
    write_part(folder, batches[0], *(outcome(f"item-{n:05d}", n * 10) for n in range(4)))

    (first,) = live.of(find_runs(str(tmp_path / "out")))

    assert (first.run_id, first.items, first.done, first.delivered) == ("tonight", 10, 4, 4)
    assert (first.spent_usd, first.budget_usd) == (Decimal("1.92"), Decimal("9.60"))
    assert first.items_per_min == 8
    assert first.finishes_at == datetime(2026, 11, 20, 11, 1, 15, tzinfo=UTC)

    states = (State.SUCCEEDED, State.FAILED, State.SUCCEEDED, State.DEFERRED)
    write_part(folder, batches[1], *(outcome(f"item-{4 + n:05d}", 40, state) for n, state in enumerate(states)))
    clock[0] = 3.0
    (second,) = live.of(find_runs(str(tmp_path / "out")))
    assert (second.done, second.delivered) == (8, 6)


def test_a_run_without_parts_is_not_under_way(finished_run: Path) -> None:
    assert LiveRuns().of(find_runs(str(finished_run))) == []
