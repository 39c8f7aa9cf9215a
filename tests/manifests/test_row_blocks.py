"""Many rows as columns say the same as batch by batch: items, faults, ids and tables."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.item_ids import MOST_BYTES, fault_of, unsafe_ids
from manifests.reader import Manifest, open_manifest
from manifests.row_blocks import NO_ITEM
from manifests.rows import RowFault
from tests.manifests.factories import pictures, write_manifest

FEW_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "item_id": st.sampled_from(["a", "b", "c", "鞋", "../x", "con", "d.", "", None]),
            "image_uri": st.sampled_from(["/a.jpg", "/b.jpg", " /a.jpg", "", "/a\x00.jpg", None]),
            "mask_uri": st.sampled_from(["/m.png", None]),
            "operation": st.sampled_from(["object-removal", "background-replace", "paint", None]),
            "points": st.sampled_from([[[1, 2]], [[1, 2], [3, 4]], [[1]], [], None]),
            "labels": st.sampled_from([[1], [0, 1], None]),
            "box": st.sampled_from([[0, 0, 5, 5], [5, 5, 0, 0], None]),
            "prompt": st.sampled_from(["x", None]),
        }
    ),
    min_size=1,
    max_size=40,
)
TYPES = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("item_id", "image_uri", "mask_uri", "operation")),
        pa.field("points", pa.list_(pa.list_(pa.float64()))),
        pa.field("labels", pa.list_(pa.int64())),
        pa.field("box", pa.list_(pa.float64())),
        pa.field("prompt", pa.string()),
    ]
)


def assert_same_as_batch_by_batch(manifest: Manifest, start: int, stop: int) -> None:
    batches = [manifest.read(ref) for ref in manifest.batches(start, stop)]
    block = manifest.read_many(start, stop)

    assert block.first_row == batches[0].ref.first_row
    assert block.table.equals(pa.concat_tables([rows.table for rows in batches]))
    for position, item in enumerate(item for rows in batches for item in rows.items):
        if isinstance(item, RowFault):
            assert block.faults[position] == item
            assert block.kinds[position] == NO_ITEM
        else:
            assert position not in block.faults
            assert replace(block.items[block.kinds[position]], item_id=item.item_id) == item


@settings(deadline=None, max_examples=40)
@given(rows=FEW_ROWS, group=st.integers(1, 40), batch_size=st.integers(1, 9), data=st.data())
def test_a_block_says_what_its_batches_say(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    group: int,
    batch_size: int,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("rows") / "m.parquet"
    manifest = open_manifest(
        write_manifest(path, pa.Table.from_pylist(rows, schema=TYPES), rows_per_group=group), batch_size=batch_size
    )
    start = data.draw(st.integers(0, manifest.batch_count - 1))

    assert_same_as_batch_by_batch(manifest, start, data.draw(st.integers(start + 1, manifest.batch_count)))


def test_rows_that_ask_for_the_same_are_one_kind(tmp_path: Any) -> None:
    columns = {
        "item_id": [f"I{number}" for number in range(300)],
        "image_uri": pictures(3) * 100,
        "points": [[[1, 2]], None, []] * 100,
    }
    block = open_manifest(write_manifest(tmp_path / "m.parquet", columns)).read_many(0, 6)

    assert [item.image_uri for item in block.items] == pictures(3)
    assert block.kinds.tolist() == [0, 1, 2] * 100


def test_cells_that_cannot_be_read_are_faults_in_a_block_too(tmp_path: Any) -> None:
    columns = {"item_id": ["A", "B", "C"], "image_uri": pictures(3), "box": [[0, 0, 5, 5], [0, 0, 5.5, 6], None]}
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", columns))

    assert list(manifest.read_many(0, 1).faults) == [1]
    assert_same_as_batch_by_batch(manifest, 0, 1)


@given(
    st.lists(
        st.one_of(
            st.text(max_size=6),
            st.text("aZ0_.- ", max_size=5),
            st.sampled_from(["con", "COM1.txt", "com¹", "x" * MOST_BYTES, "x" * (MOST_BYTES + 1), "a\n", "nul."]),
        )
    )
)
def test_ids_are_judged_the_same_by_column(ids: list[str]) -> None:
    one_by_one = {position: why for position, item_id in enumerate(ids) if (why := fault_of(item_id)) is not None}

    assert unsafe_ids(pa.array(ids, pa.string())) == one_by_one
