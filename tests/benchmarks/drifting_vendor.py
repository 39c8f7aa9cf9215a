"""Real photographs through vendors whose colours drift: how far the delivered files differ from their sources outside the mask.

Every answer of the sandbox is warmer and lit differently (`colour_drift`); Maskr's are PNG, ModelsLab's JPEG beside. Sources are stored
without loss, so that what is delivered can be compared byte by byte. Sheets of source, mask and delivered file are written for the eye.
"""

import tempfile
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from tasks.imaging.picture import Pixels, Plane
from tests.benchmarks.quality_runs import run_to_end, unlimited_rehearsal
from tests.factories.real_photographs import write_photographs

ROWS, QUICK_ROWS = 200, 16
SHEETS: Final = Path(tempfile.gettempdir()) / "cleanplate-drifting-vendor"
TILE, PER_SHEET, IN_A_ROW = (300, 220), 20, 2


def main(quick: bool) -> None:
    """Print one table, one line a vendor, and write the sheets."""
    rows = QUICK_ROWS if quick else ROWS
    SHEETS.mkdir(parents=True, exist_ok=True)
    furthest = 0
    print(
        "| vendor | photographs | delivered | drift outside, mean and largest | after the composite, largest | seam |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    with unlimited_rehearsal(faults=[{"kind": "colour_drift"}]) as here:
        for seed, vendor in enumerate(("maskr", "modelslab")):
            manifest = write_photographs(here.folder / vendor, rows // 2, seed=100 + seed)
            results = run_to_end(here, manifest, vendor, run_id=vendor)
            delivered = results[results.state == "succeeded"]
            delta = max((_outside(row) for row in delivered.itertuples()), default=0)
            furthest = max(furthest, delta)
            mean, largest = delivered.quality_outside_mean_delta.mean(), delivered.quality_outside_max_delta.max()
            print(
                f"| {vendor} | {len(results)} | {len(delivered)} | {mean:.1f}, {largest:.0f} | {delta} "
                f"| {delivered.quality_seam.mean():.1f} |"
            )
            for row in results[results.state != "succeeded"].itertuples():
                print(f"\n    {row.item_id}: {row.state} {row.error_code} {row.error_message}\n")
            _write_sheets(vendor, delivered)
    print(f"\nLevels of 255. Sheets of source with mask, and delivered file: `{SHEETS.name}` in the temporary folder.")
    if furthest:
        raise SystemExit(1)


def _pictures(row: object) -> tuple[Pixels, Plane, Pixels]:
    """Source, mask and delivered file; read by Pillow, which had no part in writing most of them."""
    source, mask, made = (
        np.asarray(Image.open(str(getattr(row, column)).removeprefix("file://")).convert(mode))
        for column, mode in (("image_uri", "RGB"), ("mask_uri", "L"), ("output_uri", "RGB"))
    )
    return source, mask, made


def _outside(row: object) -> int:
    source, mask, made = _pictures(row)
    return int(np.abs(source.astype(int) - made)[mask == 0].max())


def _write_sheets(vendor: str, delivered: pd.DataFrame) -> None:
    rows = list(delivered.itertuples())
    for first in range(0, len(rows), PER_SHEET):
        part = rows[first : first + PER_SHEET]
        lines = -(-len(part) // IN_A_ROW)
        sheet = Image.new("RGB", (2 * IN_A_ROW * TILE[0], lines * TILE[1]), "white")
        for number, row in enumerate(part):
            source, mask, made = _pictures(row)
            x, y = 2 * (number % IN_A_ROW) * TILE[0], number // IN_A_ROW * TILE[1]
            sheet.paste(_tile(_outlined(source, mask)), (x, y))
            sheet.paste(_tile(made), (x + TILE[0], y))
            ImageDraw.Draw(sheet).text((x + 4, y + 4), str(row.item_id), "yellow", stroke_width=2, stroke_fill="black")
        sheet.save(SHEETS / f"{vendor}-{first // PER_SHEET:02d}.jpg", quality=90)


def _outlined(source: Pixels, mask: Plane) -> Pixels:
    shown = source.copy()
    outlines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    cv2.drawContours(shown, outlines, -1, (255, 0, 255), max(2, source.shape[1] // 200))
    return shown


def _tile(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((TILE[0] - 6, TILE[1] - 6))
    return image
