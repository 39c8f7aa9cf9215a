"""Results manifests of any size, made column by column: for scale, where pictures do not matter."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.factories.run_folders import PRICES, results_schema

_CHUNK = 100_000
_CAUSES = (
    (None, None),
    ("failed", "provider_error"),
    ("failed", "output_drifted"),
    ("rejected", "mask_empty"),
    ("rejected", "image_unreadable"),
    ("deferred", "out_of_credits"),
    ("in_doubt", "in_doubt"),
)
_SHARES = (0.94, 0.015, 0.01, 0.012, 0.008, 0.013, 0.002)


def bulk_run(to: Path, *, rows: int, run_id: str = "bulk", started_at: datetime | None = None, seed: int = 1) -> Path:
    """A run folder of `rows` rows without pictures, written in row groups of 100,000."""
    folder = to / f"run_id={run_id}"
    folder.mkdir(parents=True)
    dice = np.random.default_rng(seed)
    started_at = started_at or datetime(2026, 11, 1, 1, 0, tzinfo=UTC)
    schema = results_schema(extra=(pa.field("sku", pa.string()),))
    with pq.ParquetWriter(folder / "results.parquet", schema, compression="zstd") as writer:
        for first in range(0, rows, _CHUNK):
            writer.write_table(_chunk(schema, run_id, first, min(_CHUNK, rows - first), started_at, dice))
    summary = {"run_id": run_id, "items": rows, "config": {"manifest": "s3://catalog/all.parquet"}}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def _chunk(
    schema: pa.Schema, run_id: str, first: int, count: int, started_at: datetime, dice: np.random.Generator
) -> pa.Table:
    numbers = np.arange(first, first + count)
    cause = dice.choice(len(_CAUSES), count, p=_SHARES)
    good = cause == 0
    sent = np.isin(cause, (0, 1, 2, 6))
    names = np.array(list(PRICES))
    chosen = dice.integers(0, len(names), count)
    provider = names[chosen]
    price = np.array([float(usd) for usd in PRICES.values()])[chosen]
    reused = good & (dice.random(count) < 0.05)
    started = np.datetime64(started_at.replace(tzinfo=None), "us") + (numbers * 25_000).astype("timedelta64[us]")
    took_ms = np.where(sent, dice.lognormal(7.5, 0.6, count), 3).astype(np.int64)
    columns = {
        "item_id": pa.array(np.char.add("item-", numbers.astype(str))),
        "image_uri": pa.array(np.char.add(np.char.add("s3://catalog/in/", numbers.astype(str)), ".jpg")),
        "mask_uri": pa.array(np.char.add(np.char.add("s3://catalog/in/", numbers.astype(str)), "_mask.png")),
        "operation": pa.array(np.where(numbers % 6, "object-removal", "background-replace")),
        "sku": pa.array(np.char.add("SKU-", numbers.astype(str))),
        "run_id": pa.array([run_id] * count),
        "batch_id": pa.array(np.char.add(f"{run_id}/", (numbers // 50).astype(str))),
        "state": pa.array([_CAUSES[c][0] or "succeeded" for c in cause]),
        "error_code": pa.array([_CAUSES[c][1] for c in cause], pa.string()),
        "error_message": pa.array([f"fault of kind {c}" if c else None for c in cause], pa.string()),
        "provider": pa.array(provider, mask=~sent),
        "attempts": pa.array(np.where(reused, 0, sent.astype(np.int32)), pa.int32()),
        "output_uri": pa.array(np.char.add(np.char.add("s3://out/", numbers.astype(str)), ".jpg"), mask=~good),
        "content_key": pa.array(np.char.add("key-", numbers.astype(str))),
        "reused": pa.array(reused),
        "credits": pa.array(np.where(good & ~reused & (provider == "maskr"), 3.0, 0.0)).cast(pa.decimal128(18, 6)),
        "cost_usd": pa.array(np.where(good & ~reused, price, 0.0)).cast(pa.decimal128(18, 6)),
        "quality_outside_max_delta": pa.array(dice.gamma(2, 6, count).clip(0, 255), mask=~good),
        "quality_inside_change": pa.array(dice.gamma(4, 9, count).clip(0, 255), mask=~good),
        "started_at": pa.array(started).cast(pa.timestamp("us", tz="UTC")),
        "finished_at": pa.array(started + took_ms.astype("timedelta64[ms]")).cast(pa.timestamp("us", tz="UTC")),
        "duration_ms": pa.array(took_ms),
        "schema_version": pa.array(np.ones(count, np.int32)),
    }
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema)


def bulk_nights(to: Path, *, runs: int, rows: int) -> None:
    """Equal runs on successive nights."""
    for night in range(runs):
        day = datetime(2026, 8, 1, 1, tzinfo=UTC) + timedelta(days=night)
        bulk_run(to, rows=rows, run_id=f"night-{day:%Y-%m-%d}", started_at=day, seed=night)
