"""A manifest in which every provider is asked for each operation and selection that it offers, each row with a picture of its own."""

from pathlib import Path
from random import Random
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.items import Operation
from manifests.schemas import MANIFEST_SCHEMA
from tasks.config import load_settings
from tasks.imaging.picture import Pixels
from tasks.providers.registry import make_providers
from tests.factories.pictures import hole, photo, product_on_white

VENDORS: Final = ("runflow", "maskr", "modelslab", "onemin")
WIDTH, HEIGHT = 240, 160


def combinations(providers: tuple[str, ...] = VENDORS) -> list[tuple[str, str, str]]:
    """(provider, operation, selection) of all that they offer, by their own word; a selection is such as `mask+reference`."""
    keys = {key: {"api_key": "none"} for key in providers if key != "local"}
    made = make_providers(providers, load_settings(providers=keys))
    return [
        (key, str(offer.operation), "+".join(sorted(selection)))
        for key, provider in made.items()
        for offer in provider.capabilities.offers
        for selection in offer.selectors
    ]


def write_mixed(folder: Path, *, each: int, providers: tuple[str, ...] = VENDORS, at: str | None = None) -> Path:
    """`each` rows a combination, pinned to their provider. `at`: the address under which the folder will be found."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind, (provider, operation, selection) in enumerate(combinations(providers)):
        for number in range(each):
            name = f"{provider}-{operation}-{selection.replace('+', '-')}-{number:03d}"
            row = {"item_id": name, "operation": operation, "provider": provider}
            rows.append(row | _files(folder, at or str(folder), name, kind * each + number, operation, selection))
    Random(1).shuffle(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), folder / "manifest.parquet")
    return folder / "manifest.parquet"


def _files(folder: Path, at: str, name: str, index: int, operation: str, selection: str) -> dict[str, Any]:
    """The row's selections, and its files on disk."""
    row: dict[str, Any] = {"image_uri": f"{at}/{name}.jpg"}
    picture, mask = _with_object(index), hole(WIDTH, HEIGHT, share=0.07)
    if operation == Operation.BACKGROUND_REPLACE:
        picture, mask = product_on_white(index, WIDTH, HEIGHT)
    picture = picture.copy()
    picture[HEIGHT // 2 + 20, 70 + index % 100] = (index // 100, 255, 0)  # no two files alike; inside the product
    cv2.imwrite(str(folder / f"{name}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    for part in selection.split("+"):
        if part == "mask":
            cv2.imwrite(str(folder / f"{name}_mask.png"), mask)
            row["mask_uri"] = f"{at}/{name}_mask.png"
        elif part == "reference":
            cv2.imwrite(str(folder / f"{name}_ref.jpg"), photo(index + 1, WIDTH, HEIGHT)[..., ::-1])
            row["reference_uri"] = f"{at}/{name}_ref.jpg"
        elif part == "points":
            row |= {"points": [[WIDTH // 2, HEIGHT // 2], [3, 3]], "labels": [1, 0]}
        elif part == "box":
            wide, high = 0.08, 0.12
            row["box"] = [
                *(round(WIDTH * (0.5 - wide)), round(HEIGHT * (0.5 - high))),
                *(round(WIDTH * (0.5 + wide)), round(HEIGHT * (0.5 + high))),
            ]
        elif part == "text":
            row["object_name"] = "cup"
        else:
            row["prompt"] = "on a wooden table"
    return row


def _with_object(index: int) -> Pixels:
    """A photograph, softened, and a disc of one colour in its middle that points and boxes can pick out."""
    picture = cv2.GaussianBlur(photo(index, WIDTH, HEIGHT), (0, 0), 5)
    colour = ((230, 40, 40), (40, 220, 60), (250, 220, 30))[index % 3]
    cv2.circle(picture, (WIDTH // 2, HEIGHT // 2), 12, colour, -1, cv2.LINE_AA)
    return np.ascontiguousarray(picture)
