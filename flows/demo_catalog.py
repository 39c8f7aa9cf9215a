"""The demo's catalog: real photographs that ship with scikit-image, with masks placed by hand.

Credits, as scikit-image's documentation of `skimage.data` gives them: astronaut (Eileen Collins) and Hubble deep field: NASA, public
domain; rocket: SpaceX, public domain; coffee: Rachel Michetti, CC0; motorcycle: the Middlebury Stereo datasets 2014.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Points = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One photograph and what is to go from it, in its pixels: a polygon, or ellipses (x, y, radius x, radius y)."""

    name: str
    photo: str
    polygon: Points = ()
    ellipses: tuple[tuple[int, int, int, int], ...] = ()
    keep: bool = False  # the shape is the product, and all around it is replaced by `reference`
    reference: str | None = None


SCENES: Final = (
    Scene(
        name="rocket",
        photo="rocket.jpg",
        polygon=((311, 122), (330, 122), (340, 150), (340, 404), (300, 404), (306, 150)),
    ),
    Scene(
        name="mast",
        photo="rocket.jpg",
        polygon=((443, 118), (451, 118), (458, 190), (478, 362), (438, 362), (438, 190)),
    ),
    Scene(name="patch", photo="astronaut.png", ellipses=((169, 386, 44, 44),)),
    Scene(name="name-tag", photo="astronaut.png", polygon=((272, 338), (330, 342), (334, 378), (272, 378))),
    Scene(name="badge", photo="motorcycle_left.png", polygon=((398, 186), (458, 186), (458, 214), (398, 214))),
    Scene(name="can", photo="motorcycle_left.png", polygon=((393, 52), (420, 52), (420, 92), (393, 92))),
    Scene(name="galaxies", photo="hubble_deep_field.jpg", ellipses=((726, 474, 26, 26), (124, 397, 24, 24))),
    Scene(
        name="coffee-in-space",
        photo="coffee.png",
        polygon=((396, 78), (406, 66), (424, 70), (426, 90), (408, 130), (396, 130)),
        ellipses=((278, 228, 201, 160), (288, 104, 117, 88)),
        keep=True,
        reference="hubble_deep_field.jpg",
    ),
)
# A catalog shows a product in several sizes and formats: (suffix, scale).
VARIANTS: Final = (
    (".jpg", 1.0),
    (".jpg", 0.75),
    (".jpg", 1.5),
    (".png", 0.6),
    (".webp", 1.0),
    (".jpg", 0.5),
    (".png", 1.0),
)
BROKEN_ROW: Final = "broken-on-purpose"


def write_demo_catalog(folder: Path) -> Path:
    """Write pictures, masks and `manifest.parquet` into `folder`: 58 rows, the last but one broken on purpose.

    Raises:
        ImportError: scikit-image, which brings the photographs, is not installed.
    """
    from skimage import data as photographs  # noqa: PLC0415 - the demo's only use, so that runs do not need it

    source = Path(photographs.__file__).parent
    rows = [_write_row(folder, source, scene, number, *variant) for scene, number, variant in _combinations()]
    broken = folder / "pictures" / f"{BROKEN_ROW}.jpg"
    broken.write_bytes(Path(rows[0]["image_uri"]).read_bytes()[:2000])
    rows.insert(-1, {**rows[0], "item_id": BROKEN_ROW, "image_uri": str(broken), "shelf": None})
    rows.append({**rows[0], "item_id": "rocket-again", "shelf": 99})
    manifest = folder / "manifest.parquet"
    pq.write_table(pa.Table.from_pylist(rows), manifest)
    return manifest


def _combinations() -> Iterator[tuple[Scene, int, tuple[str, float]]]:
    for number, variant in enumerate(VARIANTS):
        for scene in SCENES:
            yield scene, number, variant


def _write_row(folder: Path, source: Path, scene: Scene, number: int, suffix: str, scale: float) -> dict[str, Any]:
    photo = np.asarray(Image.open(source / scene.photo).convert("RGB"))
    mask = _mask(scene, photo.shape[:2])
    size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
    name = f"{scene.name}-{number}"
    return {
        "item_id": name,
        "image_uri": _save(
            folder / "pictures" / f"{name}{suffix}", Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)
        ),
        "mask_uri": _save(
            folder / "masks" / f"{name}.png", Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
        ),
        "operation": "background-replace" if scene.keep else "object-removal",
        "reference_uri": str(source / scene.reference) if scene.reference else None,
        "shelf": number,
    }


def _mask(scene: Scene, shape: tuple[int, ...]) -> Pixels:
    mask: Pixels = np.zeros(shape, np.uint8)
    if scene.polygon:
        cv2.fillPoly(mask, [np.array(scene.polygon, np.int32)], [255])
    for x, y, radius_x, radius_y in scene.ellipses:
        cv2.ellipse(mask, (x, y), (radius_x, radius_y), 0, 0, 360, [255], -1)
    return (255 - mask).astype(np.uint8) if scene.keep else mask


def _save(path: Path, picture: Image.Image) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=92)  # formats without loss have no use for it
    return str(path)
