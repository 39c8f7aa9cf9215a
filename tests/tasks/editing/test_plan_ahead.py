"""The plan made from a real manifest, real files and a real ledger."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from manifests.error_codes import ErrorCode
from manifests.reader import open_manifest
from tasks.config import CleanupConfig, ConfigurationError, Settings, load_settings
from tasks.credits import AccountTerms, Delivery, Ledger
from tasks.editing.plan_ahead import plan_ahead
from tasks.editing.row_counts import Look, count_rows
from tasks.editing.sources import SourceReader, Sources
from tasks.editing.storage import Storage
from tasks.routing.planner import Plan
from tests.factories.catalogs import write_catalog


def settings(folder: Path, **more: Any) -> Settings:
    maskr = {"api_key": SecretStr("k"), "usd_per_credit": Decimal("0.03")}
    return load_settings(
        ledger_url=SecretStr(f"sqlite:///{folder}/ledger.sqlite3"), **({"providers": {"maskr": maskr}} | more)
    )


def planned(manifest: Path, *, look: Look = Look.AUTO, installed: Settings | None = None, **knobs: Any) -> Plan:
    known: dict[str, Any] = {"manifest": str(manifest), "to": str(manifest.parent / "out"), "providers": ("maskr",)}
    config = CleanupConfig(**(known | knobs))
    return asyncio.run(plan_ahead(config, installed or settings(manifest.parent), look=look))


def rejected(plan: Plan) -> dict[ErrorCode, int]:
    return {one.code: one.rows for one in plan.rejected}


def test_the_plan_of_a_catalog_costs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    plan = planned(write_catalog(tmp_path, 7))

    assert (plan.rows, plan.planned, plan.usd) == (7, 7, Decimal("0.63"))
    assert plan.credits == {"maskr": 21}
    assert not (tmp_path / "out").exists()


def test_rows_delivered_before_are_free_whatever_they_are_called_now(tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path, 5)
    deliver(manifest, tmp_path, rows=[1, 3])
    renamed = pd.read_parquet(manifest).assign(item_id=[f"new-{n}" for n in range(5)])[::-1]
    renamed.to_parquet(manifest)
    plan = planned(manifest)

    assert (plan.reused, plan.planned) == (2, 3)
    assert planned(manifest, reuse=False).planned == 5


def deliver(manifest: Path, folder: Path, *, rows: list[int]) -> None:
    """As an earlier run would have left it in the ledger."""

    async def book() -> None:
        ref = open_manifest(str(manifest)).batch(0)
        items = open_manifest(str(manifest)).read(ref).items
        async with await Ledger.open(f"sqlite:///{folder}/ledger.sqlite3") as ledger:
            reader = SourceReader(Storage(), ledger)
            for sources, item in zip(await reader.look(items), items, strict=True):
                read = await reader.read(sources) if isinstance(sources, Sources) else None
                if int(item.item_id[-5:]) in rows:
                    delivery = Delivery(
                        content_key=read.known_key(item, "source"),
                        provider="maskr",
                        output_uri=str(folder / "done.jpg"),
                        sha256="0" * 64,
                        width=64,
                        height=64,
                        media_type="image/jpeg",
                    )
                    await ledger.record_delivery(delivery)

    asyncio.run(book())


def test_the_same_work_twice_in_one_manifest_is_paid_once(tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path, 3)
    twice = pd.concat([pd.read_parquet(manifest)] * 2)
    twice["item_id"] = [f"row-{n}" for n in range(6)]
    twice.to_parquet(manifest)

    plan = planned(manifest, look=Look.PIXELS)
    assert (plan.reused, plan.planned) == (3, 3)


def test_each_look_finds_what_it_can_see(tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path, 6)
    table = pd.read_parquet(manifest)
    (tmp_path / "0.jpg").unlink()
    cv2.imwrite(str(tmp_path / "1_mask.png"), np.zeros((64, 64), np.uint8))
    table.loc[2, "mask_uri"] = None
    table.loc[3, "item_id"] = "item-00004"
    table.to_parquet(manifest)

    by_rows = {ErrorCode.MASK_MISSING: 1, ErrorCode.DUPLICATE_ITEM_ID: 1}
    assert rejected(planned(manifest, look=Look.ROWS)) == by_rows
    by_files = {ErrorCode.IMAGE_NOT_FOUND: 1, ErrorCode.DUPLICATE_ITEM_ID: 1}
    assert by_files.items() <= rejected(planned(manifest, look=Look.FILES)).items()
    by_pixels = {
        ErrorCode.IMAGE_NOT_FOUND: 1,
        ErrorCode.MASK_EMPTY: 1,
        ErrorCode.MASK_MISSING: 1,
        ErrorCode.DUPLICATE_ITEM_ID: 1,
    }
    plan = planned(manifest, look=Look.PIXELS)
    assert rejected(plan) == by_pixels
    assert (plan.planned, plan.rows) == (2, 6)


def test_every_row_is_counted_once_by_columns_too(tmp_path: Path) -> None:
    columns = {
        "item_id": ["a", "b", "a", None, None, "c"],
        "image_uri": ["x.jpg", "x.jpg", "x.jpg", "x.jpg", "x.jpg", None],
        "mask_uri": ["m.png", None, "m.png", "m.png", "m.png", "m.png"],
        "box": [None, [0, 0, 9, 9], None, None, None, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "manifest.parquet", row_group_size=2)
    tally = count_rows(open_manifest(str(tmp_path / "manifest.parquet")))

    assert tally.rows == 6
    assert tally.rejected == {ErrorCode.DUPLICATE_ITEM_ID: 1, ErrorCode.ROW_INVALID: 1}
    assert sorted(one.rows for one in tally.classes) == [1, 3]


def test_the_ledgers_balance_counts_and_not_the_settings_opening_one(tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path, 7)

    async def book() -> None:
        async with await Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite3") as ledger:
            await ledger.open_account("maskr", AccountTerms(credits=Decimal(9)))

    asyncio.run(book())
    plan = planned(manifest)

    assert plan.planned == 3
    assert [(one.code, one.rows) for one in plan.not_done] == [(ErrorCode.OUT_OF_CREDITS, 4)]


def test_a_provider_without_a_key_says_which_variable_turns_it_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CLEANPLATE_PROVIDERS__RUNFLOW__API_KEY"):
        planned(write_catalog(tmp_path, 1), providers=("runflow",))


def test_prices_that_nobody_stated_are_warned_of_and_limits_are_noted(tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path, 1)
    unpriced = settings(tmp_path, providers={"onemin": {"api_key": SecretStr("k")}})
    plan = planned(manifest, providers=("onemin",), installed=unpriced)

    assert [warning.rpartition(" ")[2] for warning in plan.warnings] == ["CLEANPLATE_PROVIDERS__ONEMIN__USD_PER_IMAGE."]
    assert any("states no rate limit" in note for note in plan.notes)


@pytest.mark.parametrize(("batches_in_flight", "noted"), [(2, True), (8, False)])
def test_fewer_rows_under_way_than_the_limits_can_take_are_noted(
    tmp_path: Path, batches_in_flight: int, noted: bool
) -> None:
    """A plan by the limits alone would promise what the run cannot keep."""
    manifest = tmp_path / "manifest.parquet"
    pq.write_table(pa.table({"image_uri": [f"{n}.jpg" for n in range(300)], "mask_uri": ["m.png"] * 300}), manifest)
    plan = planned(manifest, look=Look.ROWS, batches_in_flight=batches_in_flight)

    assert any("--batches-in-flight 6" in note for note in plan.notes) is noted


def test_the_local_engine_is_planned_by_its_cores(tmp_path: Path) -> None:
    installed = settings(tmp_path, providers={"local": {"workers": 2}}, routing={"typical_s": {"local": 3.0}})
    plan = planned(write_catalog(tmp_path, 5), providers=("local",), installed=installed)

    assert (plan.usd, plan.finish_s) == (0, 9)
