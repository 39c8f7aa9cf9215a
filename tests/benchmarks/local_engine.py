"""The local engine against the physical floor: the same pictures through plain OpenCV and Pillow on all cores.

40 photographs of 1024 × 1024 with 5 % masks, JPEG in and out. Start-up (imports, planning, and Prefect's own, which is not part of
this) is left out on both sides: ours is timed from the first touch of a row to the last outcome, as the results manifest has it.
"""

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from skimage import data as photographs

SIDE = 1024
CORES = len(os.sched_getaffinity(0))


def main(quick: bool) -> None:
    """Print a Markdown table: medians of several rounds, each round both sides in turn."""
    pictures, rounds = (12, 3) if quick else (40, 5)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="local-engine-") as name:
        folder = Path(name)
        pairs = _write_pictures(folder, pictures)
        ours, floor = [], []
        for number in range(rounds + 1):
            seconds = _ours(folder, f"ns-{number}", "ns"), _floor(folder, pairs)
            if number:  # the first round warms caches
                ours.append(seconds[0])
                floor.append(seconds[1])
        patchmatch = _ours(folder, "patchmatch", "patchmatch")
    a, b = statistics.median(ours), statistics.median(floor)
    print(f"| {pictures} pictures of {SIDE}², {CORES} cores | images/s | against the floor |")
    print("|---|---|---|")
    print(f"| plain loop, cv2 NS + Pillow (the floor) | {pictures / b:.1f} | 1.00 |")
    print(f"| cleanplate, engine ns | {pictures / a:.1f} | {a / b:.2f} |")
    print(f"| cleanplate, engine patchmatch (default) | {pictures / patchmatch:.2f} | |")


def _write_pictures(folder: Path, count: int) -> list[tuple[Path, Path]]:
    source = Path(photographs.__file__).parent
    names = ["astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]
    rows = []
    for number in range(count):
        photo = (
            Image.open(source / names[number % len(names)])
            .convert("RGB")
            .resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        )
        photo = Image.fromarray(np.roll(np.asarray(photo), 7 * number, axis=1))  # no two alike
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(mask, (300 + 10 * (number % 40), 500), (183, 91), 0, 0, 360, (255,), -1)  # 5 % of the picture
        photo.save(folder / f"{number}.jpg", quality=92)
        cv2.imwrite(str(folder / f"{number}_mask.png"), mask)
        rows.append(
            {
                "item_id": f"p{number}",
                "image_uri": str(folder / f"{number}.jpg"),
                "mask_uri": str(folder / f"{number}_mask.png"),
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    return [(Path(row["image_uri"]), Path(row["mask_uri"])) for row in rows]


def _ours(folder: Path, run_id: str, engine: str) -> float:
    os.environ["CLEANPLATE_LEDGER_URL"] = f"sqlite:///{folder / run_id}.sqlite3"
    os.environ["CLEANPLATE_PROVIDERS__LOCAL__ENGINE"] = engine
    from tasks.config import CleanupConfig  # noqa: PLC0415 - after the environment is set
    from tests.without_prefect import clean  # noqa: PLC0415

    summary = clean(CleanupConfig(manifest=str(folder / "manifest.parquet"), to=str(folder / "out"), run_id=run_id))
    assert summary.exit_code == 0, summary
    results = pd.read_parquet(folder / "out" / f"run_id={run_id}" / "results.parquet")
    return float((results.finished_at.max() - results.started_at.min()).total_seconds())


def _floor(folder: Path, pairs: list[tuple[Path, Path]]) -> float:
    out = folder / "floor"
    out.mkdir(exist_ok=True)

    def edit(pair: tuple[Path, Path]) -> None:
        picture: Any = np.asarray(Image.open(pair[0]).convert("RGB"))
        mask: Any = np.asarray(Image.open(pair[1]).convert("L"))
        Image.fromarray(cv2.inpaint(picture, mask, 4, cv2.INPAINT_NS)).save(out / pair[0].name, quality=92)

    began = time.monotonic()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(edit, pairs))
    return time.monotonic() - began
