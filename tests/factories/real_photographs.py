"""Real photographs in many sizes, each with a mask on something in it: parts and flips of scikit-image's pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import skimage.data
from PIL import Image

from tasks.imaging.picture import Pixels, Plane

NAMES: Final = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
    "camera.png",
    "coins.png",
    "grass.png",
    "brick.png",
    "gravel.png",
)


def _source(name: str) -> Pixels:
    return np.asarray(Image.open(Path(skimage.data.__file__).parent / name).convert("RGB"))


def _originals() -> list[Pixels]:
    folder = Path(skimage.data.__file__).parent
    return [_source(name) for name in NAMES if (folder / name).exists()]


def _mask(shape: tuple[int, ...], rng: np.random.Generator) -> Plane:
    """One to three blobs, 1 to 8 % of the picture together."""
    height, width = shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        radius = (rng.uniform(0.04, 0.11) * width, rng.uniform(0.04, 0.11) * height)
        centre = (rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height)
        axes = (max(4, round(radius[0])), max(4, round(radius[1])))
        cv2.ellipse(mask, (round(centre[0]), round(centre[1])), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return mask


def photographs(count: int, *, seed: int = 0) -> Iterator[tuple[Pixels, Plane]]:
    """`count` different parts of real photographs, 320 to 900 pixels wide, with their masks."""
    originals = _originals()
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        whole = originals[number % len(originals)]
        share = rng.uniform(0.6, 1.0, 2)
        height, width = (max(64, int(side * part)) for side, part in zip(whole.shape[:2], share, strict=True))
        top, left = (
            int(rng.integers(0, side - kept + 1)) for side, kept in zip(whole.shape[:2], (height, width), strict=True)
        )
        part = whole[top : top + height, left : left + width]
        if number // len(originals) % 2:
            part = part[:, ::-1]
        wanted = int(rng.integers(320, 900))
        size = wanted, max(64, round(wanted * height / width))
        pixels = np.ascontiguousarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
        yield pixels, _mask(pixels.shape, rng)


def write_photographs(folder: Path, count: int, *, seed: int = 0) -> Path:
    """Their files without loss (PNG, WebP and TIFF in turn), masks, and manifest.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (pixels, mask) in enumerate(photographs(count, seed=seed)):
        suffix = (".png", ".webp", ".png", ".tif")[number % 4]
        picture, hole = folder / f"photo-{number:04d}{suffix}", folder / f"photo-{number:04d}_mask.png"
        Image.fromarray(pixels).save(picture, **({"lossless": True} if suffix == ".webp" else {}))
        Image.fromarray(mask).save(hole)
        rows.append({"item_id": f"photo-{number:04d}", "image_uri": str(picture), "mask_uri": str(hole)})
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    return folder / "manifest.parquet"
