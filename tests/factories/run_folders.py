"""Run folders as the flow leaves them: real photographs, really inpainted, several providers, failures of every kind."""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import skimage.data

from manifests import ErrorCode, State
from manifests.schemas import MANIFEST_SCHEMA, OUTCOME_SCHEMA, SCHEMA_VERSION

PRICES = {"runflow": Decimal("0.48"), "maskr": Decimal("0.06"), "onemin": Decimal("0.11"), "local": Decimal(0)}
SPEED_S = {"runflow": 9.0, "maskr": 1.4, "onemin": 4.2, "local": 0.5}
CONFIG = {
    "manifest": "s3://catalog/autumn/manifest.parquet",
    "to": "s3://catalog/clean",
    "providers": ["maskr", "runflow", "onemin", "local"],
    "policy": "cheapest",
    "budget_usd": "80.00",
    "deadline": "2h",
    "passes": 3,
}
HOSTILE_NAMES = (
    "<script>window.hacked=1</script>",
    '"><img src=x onerror=window.hacked=1>',
    "'; DROP TABLE results; --",
    "{{ 7*7 }}{% raw %}",
    "javascript:window.hacked=1",
    "حذاء-رياضي-٤٢-\u202egpj.exe",
    "../../../etc/passwd",
    "x" * 400,
    "日本語の商品名・赤いスニーカー",
    "line\nbreak\ttab",
)
_FAULTS: tuple[tuple[State, ErrorCode, str, bool], ...] = (  # state, code, message, was it sent?
    (State.REJECTED, ErrorCode.MASK_EMPTY, "mask {id}_mask.png marks 0 of 262,144 pixels", False),
    (State.REJECTED, ErrorCode.IMAGE_UNREADABLE, "{id}.jpg: truncated after 18,113 of 52,400 bytes", False),
    (State.REJECTED, ErrorCode.MASK_SIZE_MISMATCH, "mask is 640 × 480, picture is 512 × 512", False),
    (State.FAILED, ErrorCode.PROVIDER_REJECTED, "422: content policy: <b>not allowed</b>", True),
    (State.FAILED, ErrorCode.OUTPUT_DRIFTED, "outside the mask the picture moved by 118 of 255", True),
    (State.FAILED, ErrorCode.PROVIDER_TIMEOUT, "no result after 600 s (job 8f2c)", True),
    (State.DEFERRED, ErrorCode.OUT_OF_CREDITS, "maskr answered 402: 0 credits left", False),
    (State.DEFERRED, ErrorCode.BUDGET_REACHED, "budget of $80.00 is reserved in full", False),
    (State.IN_DOUBT, ErrorCode.IN_DOUBT, "connection lost after the request was sent", True),
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One photograph with its mask and an edit, as files."""

    name: str
    image: Path
    mask: Path
    output: bytes
    outside_max_delta: float
    inside_change: float


def _dice(seed: int) -> random.Random:
    return random.Random(seed)


def pictures(folder: Path, *, count: int = 12, side: int = 512) -> list[Picture]:
    """`count` photographs from scikit-image with hand-placed holes, each inpainted; some edits are drifted or faint."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = [(name, getattr(skimage.data, name)()) for name in ("coffee", "astronaut", "chelsea", "rocket", "retina")]
    sources.append(("motorcycle", skimage.data.stereo_motorcycle()[0]))
    made = []
    for index in range(count):
        name, pixels = sources[index % len(sources)]
        rgb = _crop(pixels, _dice(index), side)
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        made.append(_edited(folder, f"{name}-{index:03d}", bgr, index))
    return made


def _crop(pixels: np.ndarray, dice: random.Random, side: int) -> np.ndarray:
    """Another part of the photograph each time, three by two."""
    height, width = pixels.shape[:2]
    wide = int(min(width, height * 1.5) * dice.uniform(0.7, 1))
    high = wide * 2 // 3
    left, top = dice.randint(0, width - wide), dice.randint(0, height - high)
    return cv2.resize(pixels[top : top + high, left : left + wide], (side, side * 2 // 3), interpolation=cv2.INTER_AREA)


def _edited(folder: Path, name: str, bgr: np.ndarray, index: int) -> Picture:
    mask = _hole(bgr.shape[:2], _dice(index))
    method = cv2.INPAINT_TELEA if index % 2 else cv2.INPAINT_NS
    edited = bgr.copy() if index % 17 == 10 else cv2.inpaint(bgr, mask, 5, method)
    drift = 90 + index if index % 9 == 6 else index % 5 * 4
    inside = float(np.abs(edited.astype(int) - bgr)[mask > 0].mean())
    image_path, mask_path = folder / f"{name}.jpg", folder / f"{name}_mask.png"
    cv2.imwrite(str(image_path), bgr)
    cv2.imwrite(str(mask_path), mask)
    output = cv2.imencode(".jpg", edited)[1].tobytes()
    return Picture(
        name=name, image=image_path, mask=mask_path, output=output, outside_max_delta=drift, inside_change=inside
    )


def _hole(shape: tuple[int, ...], dice: random.Random) -> np.ndarray:
    height, width = shape
    mask = np.zeros((height, width), np.uint8)
    centre = (int(width * dice.uniform(0.25, 0.75)), int(height * dice.uniform(0.25, 0.75)))
    axes = (int(width * dice.uniform(0.05, 0.12)), int(height * dice.uniform(0.06, 0.16)))
    cv2.ellipse(mask, centre, axes, dice.uniform(0, 180), 0, 360, 255, -1)
    return mask


def make_run(
    to: Path,
    made: Sequence[Picture],
    *,
    run_id: str = "nightly-2026-11-02",
    rows: int = 120,
    started_at: datetime = datetime(2026, 11, 2, 1, 0, tzinfo=UTC),
    providers: Sequence[str] = ("maskr", "runflow", "onemin", "local"),
    names: Sequence[str] = (),
    seed: int = 7,
    summary: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """A finished run folder; `names` are item ids to use first. Every fault of the list appears when rows >= 60."""
    folder = to / f"run_id={run_id}"
    (folder / "images").mkdir(parents=True)
    dice = _dice(seed)
    clock = started_at
    records = []
    for index in range(rows):
        picture = made[index % len(made)]
        item_id = names[index] if index < len(names) else f"{picture.name}-{index:05d}"
        clock += timedelta(seconds=dice.expovariate(0.3))
        record = _base(item_id, run_id, picture, index, clock)
        record |= _outcome(folder, picture, index, dice, providers, started_at=clock, names=len(names))
        records.append(record)
    write_results(folder, records)
    (folder / "summary.json").write_text(json.dumps(_summary(run_id, records, started_at) | (summary or {}), indent=1))
    (folder / "run.json").write_text(json.dumps(config or CONFIG))
    return folder


def _base(item_id: str, run_id: str, picture: Picture, index: int, clock: datetime) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "image_uri": str(picture.image),
        "operation": "object-removal" if index % 6 else "background-replace",
        "mask_uri": str(picture.mask),
        "sku": f"SKU-{10_000 + index}",
        "season": "autumn" if index % 3 else None,
        "run_id": run_id,
        "batch_id": f"{run_id}/{index // 50:06d}",
        "schema_version": SCHEMA_VERSION,
        "content_key": hashlib.sha256(f"{picture.name}{index}".encode()).hexdigest(),
    }


def _outcome(
    folder: Path,
    picture: Picture,
    index: int,
    dice: random.Random,
    providers: Sequence[str],
    *,
    started_at: datetime,
    names: int,
) -> dict[str, Any]:
    provider = dice.choice(providers)
    if index % 7 == 3 and index >= names:
        return _fault(index // 7, picture, provider, started_at)
    reused = index % 13 == 5
    seconds = 0.0 if reused else SPEED_S[provider] * dice.lognormvariate(0, 0.4)
    output = folder / "images" / f"{index:05d}.jpg"
    output.write_bytes(picture.output)
    return {
        "state": State.SUCCEEDED,
        "provider": provider,
        "attempts": 0 if reused else 1 + (dice.random() < 0.12),
        "output_uri": str(output),
        "output_sha256": hashlib.sha256(picture.output).hexdigest(),
        "width": 512,
        "height": 341,
        "reused": reused,
        "credits": Decimal(3 if provider == "maskr" and not reused else 0),
        "cost_usd": Decimal(0) if reused else PRICES[provider],
        "remote_id": None if reused or provider == "local" else f"job-{index:05d}",
        "quality_outside_max_delta": picture.outside_max_delta,
        "quality_inside_change": picture.inside_change,
        "quality_outside_mean_delta": picture.outside_max_delta / 8,
        "quality_inside_p99": min(picture.inside_change * 2.5, 255.0),
        "quality_seam": dice.gammavariate(2, 2),
        "repairs": ["mask_thresholded"] if index % 9 == 0 else [],
        "started_at": started_at,
        "finished_at": started_at + timedelta(seconds=seconds),
        "duration_ms": round(seconds * 1000),
    }


def _fault(turn: int, picture: Picture, provider: str, started_at: datetime) -> dict[str, Any]:
    state, code, message, sent = _FAULTS[turn % len(_FAULTS)]
    seconds = 2.0 if sent else 0.02
    charged = code is ErrorCode.OUTPUT_DRIFTED
    return {
        "state": state,
        "error_code": code,
        "error_message": message.format(id=picture.name),
        "provider": provider if sent else None,
        "attempts": (3 if state is State.FAILED else 1) if sent else 0,
        "reused": False,
        "credits": Decimal(0),
        "cost_usd": PRICES[provider] if charged else Decimal(0),
        "repairs": [],
        "started_at": started_at,
        "finished_at": started_at + timedelta(seconds=seconds),
        "duration_ms": round(seconds * 1000),
    }


def results_schema(
    extra: Sequence[pa.Field] = (pa.field("sku", pa.string()), pa.field("season", pa.string())),
) -> pa.Schema:
    """The columns of a results manifest, as written: the manifest's own, those carried through, the outcome's."""
    own = [field for field in MANIFEST_SCHEMA if field.name != "provider"]
    return pa.schema([*own, *extra, *OUTCOME_SCHEMA])


def write_results(folder: Path, records: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    """results.parquet of a run folder."""
    schema = schema or results_schema()
    rows = [{name: record.get(name) for name in schema.names} for record in records]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "results.parquet")


def _summary(run_id: str, records: Sequence[dict[str, Any]], started_at: datetime) -> dict[str, Any]:
    states = {state.value: sum(1 for r in records if r["state"] == state) for state in State}
    return {
        "run_id": run_id,
        "started_at": started_at.isoformat(),
        "finished_at": max(r["finished_at"] for r in records).isoformat(),
        "items": len(records),
        "states": states,
        "reused": sum(1 for r in records if r["reused"]),
        "cost_usd": str(sum((r["cost_usd"] for r in records), Decimal(0))),
    }


def nights(to: Path, made: Sequence[Picture], *, count: int, rows: int = 60) -> Iterator[Path]:
    """A run each night, for pages that show time passing."""
    for night in range(count):
        day = datetime(2026, 10, 1, 1, 0, tzinfo=UTC) + timedelta(days=night)
        yield make_run(to, made, run_id=f"nightly-{day:%Y-%m-%d}", rows=rows, started_at=day, seed=night)
