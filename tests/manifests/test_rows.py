"""What a row must look like to become an item, and what is said when it does not."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.error_codes import ErrorCode
from manifests.item_ids import MOST_BYTES, fault_of
from manifests.items import Item, Operation
from manifests.reader import open_manifest
from manifests.rows import RowFault
from tests.manifests.factories import pictures, write_manifest

TYPES = {
    "points": pa.list_(pa.list_(pa.float64())),
    "labels": pa.list_(pa.int64()),
    "box": pa.list_(pa.int64()),
}


def read_one(tmp_path: Path, **values: Any) -> Item | RowFault:
    values = {"item_id": "A1", "image_uri": "/a.jpg", **values}
    columns = {name: pa.array([value], TYPES.get(name, pa.string())) for name, value in values.items()}
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", columns))
    return manifest.read(manifest.batch(0)).items[0]


def test_a_full_row_becomes_an_item(tmp_path: Path) -> None:
    item = read_one(
        tmp_path,
        image_uri=" s3://bucket/a.jpg ",
        operation="background-replace",
        mask_uri="s3://bucket/m.png",
        points=[[1, 2], [3, 4]],
        labels=[1, 0],
        box=[0, 0, 10, 20],
        object_name="",
        reference_uri="  ",
        prompt="on marble,\nin the sun",
        provider="maskr",
    )

    assert item == Item(
        item_id="A1",
        image_uri="s3://bucket/a.jpg",
        operation=Operation.BACKGROUND_REPLACE,
        mask_uri="s3://bucket/m.png",
        points=((1, 2), (3, 4)),
        labels=(1, 0),
        box=(0, 0, 10, 20),
        prompt="on marble,\nin the sun",
        provider="maskr",
    )


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"image_uri": None}, "image_uri is empty"),
        ({"image_uri": "  "}, "image_uri is empty"),
        ({"image_uri": "/a\x00.jpg"}, r"image_uri '/a\\x00.jpg' holds control characters"),
        ({"operation": "remove"}, "operation 'remove' is unknown: write object-removal or background-replace"),
        ({"points": [[1, 2, 3]]}, r"points holds \[1, 2, 3\]: each point is \[x, y\]"),
        ({"points": [[1, -2]]}, "points holds"),
        ({"points": [[1, None]]}, "points holds"),
        ({"points": [None]}, "points holds None"),
        ({"points": [[1.5, 2]]}, "points cannot be read as list"),
        ({"points": [[float("nan"), 2]]}, "points cannot be read as list"),
        ({"points": [[1, 2]], "labels": [1, 0]}, "labels has 2 entries for 1 points"),
        ({"labels": [1]}, "labels has 1 entries for 0 points"),
        ({"points": [[1, 2]], "labels": [2]}, r"labels is \[2\]: each is 1 \(object\) or 0"),
        ({"points": [[1, 2]], "labels": [None]}, "labels is"),
        ({"box": [1, 2, 3]}, r"box is \[1, 2, 3\]: write \[x1, y1, x2, y2\]"),
        ({"box": [5, 5, 5, 9]}, "x2 must be larger than x1"),
        ({"box": [5, 9, 6, 8]}, "y2 than y1"),
        ({"box": [-1, 0, 6, 8]}, "whole pixels from 0"),
        ({"box": [0, 0, 1 << 40, 8]}, "whole pixels from 0"),
    ],
)
def test_a_row_at_fault_says_row_item_and_column(tmp_path: Path, values: dict[str, Any], complaint: str) -> None:
    fault = read_one(tmp_path, **values)

    assert isinstance(fault, RowFault)
    assert (fault.row, fault.item_id, fault.code) == (0, "A1", ErrorCode.ROW_INVALID)
    assert fault.message.replace("'A1'", "A1").startswith("row 0 (item A1): ")
    assert re.search(complaint, fault.message)


@pytest.mark.parametrize(
    "item_id",
    ["../../x", "a/b", "a\\b", "..", ".", ".hidden", "-rf", " a", "a ", "a.", "a\nb", "a\x00", "a\u202eb", "con", "NUL.jpg", "Lpt1",
     "a:b", "a*", "a?b", "a#b", "a%2fb", 'a"b', "<b>", "x" * (MOST_BYTES + 1), "é" * MOST_BYTES, " ", "\ud7ff"],
)  # fmt: skip
def test_item_ids_that_could_not_name_a_file_are_rejected(tmp_path: Path, item_id: str) -> None:
    fault = read_one(tmp_path, item_id=item_id)

    assert isinstance(fault, RowFault)
    assert (fault.code, fault.item_id) == (ErrorCode.UNSAFE_ITEM_ID, item_id)
    assert fault.message.isprintable()
    assert len(fault.message) < 250


@pytest.mark.parametrize(
    "item_id", ["SKU-00123", "red shirt (M)", "Größe_42", "鞋子", "a..b", "console", "x" * MOST_BYTES, "1+1=2"]
)
def test_item_ids_of_any_script_are_fine(item_id: str) -> None:
    assert fault_of(item_id) is None


def test_bytes_that_are_no_text_are_the_rows_fault_alone(tmp_path: Path) -> None:
    good = pa.array(["/a.jpg", "/b.jpg"])
    rubbish = pa.Array.from_buffers(pa.string(), 2, [None, good.buffers()[1], pa.py_buffer(b"\xff\xfe.jpg/b.jpg")])
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"image_uri": rubbish, "item_id": ["A", "B"]}))

    fault, item = manifest.read(manifest.batch(0)).items

    assert isinstance(fault, RowFault)
    assert "row 0 (item 'A'): image_uri cannot be read as string: Invalid UTF8" in fault.message
    assert isinstance(item, Item)


def test_a_bad_row_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"image_uri": [*pictures(70), None, *pictures(9, 71)]})
    manifest = open_manifest(uri)

    items = [item for ref in manifest.batches() for item in manifest.read(ref).items]

    faults = [item for item in items if isinstance(item, RowFault)]
    assert len(items) == 80
    assert [fault.row for fault in faults] == [70]
