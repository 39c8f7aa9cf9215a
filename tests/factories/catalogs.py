"""Small real catalogs: photographs of noise and shapes with a disc to remove, and the manifest that lists them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_catalog(folder: Path, rows: int, *, side: int = 64, extra: dict[str, Any] | None = None) -> Path:
    """`rows` different pictures with their masks, and manifest.parquet; `extra`: values of further columns, one list each."""
    folder.mkdir(parents=True, exist_ok=True)
    table = []
    for number in range(rows):
        picture, mask = folder / f"{number}.jpg", folder / f"{number}_mask.png"
        cv2.imwrite(str(picture), picture_with_disc(side, seed=number), [cv2.IMWRITE_JPEG_QUALITY, 92])
        cv2.imwrite(str(mask), disc(side))
        table.append({"item_id": f"item-{number:05d}", "image_uri": str(picture), "mask_uri": str(mask)})
    columns = pa.Table.from_pylist(table)
    for name, values in (extra or {}).items():
        columns = columns.append_column(name, pa.array(values))
    pq.write_table(columns, folder / "manifest.parquet")
    return folder / "manifest.parquet"


def picture_with_disc(side: int, *, seed: int, disc: bool = True) -> np.ndarray[Any, Any]:
    """A soft random texture with a bright disc in its middle (or without it), BGR."""
    coarse = np.random.default_rng(seed).integers(40, 200, (6, 6, 3), np.uint8)
    picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    if disc:
        cv2.circle(picture, (side // 2, side // 2), side // 8, (250, 250, 250), -1)
    return np.asarray(picture)


def disc(side: int) -> np.ndarray[Any, Any]:
    """The mask that covers the disc, a little larger."""
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (side // 2, side // 2), side // 7, (255,), -1)
    return mask
