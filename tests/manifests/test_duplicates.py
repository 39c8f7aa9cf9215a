"""Each item has an id of its own: given ones that repeat are faults, missing ones are derived."""

import pickle
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.duplicates import Duplicates
from manifests.error_codes import ErrorCode
from manifests.items import Item
from manifests.reader import Manifest, open_manifest
from manifests.rows import RowFault
from tests.manifests.factories import pictures, write_manifest


def items_of(manifest: Manifest) -> list[Item | RowFault]:
    return [item for ref in manifest.batches() for item in manifest.read(ref).items]


def ids_of(manifest: Manifest) -> list[str]:
    return [item.item_id for item in items_of(manifest)]


def test_the_first_with_an_id_keeps_it_and_later_ones_are_faults(tmp_path: Path) -> None:
    ids = [f"I{number}" for number in range(200)]
    ids[7] = ids[60] = ids[199] = "I3"
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"item_id": ids, "image_uri": pictures(200)}))

    faults = {item.row: item for item in items_of(manifest) if isinstance(item, RowFault)}

    assert list(faults) == [7, 60, 199]
    assert {fault.code for fault in faults.values()} == {ErrorCode.DUPLICATE_ITEM_ID}
    assert faults[199].message == "row 199: item_id 'I3' is that of row 3 already: give each row its own"


def test_duplicates_are_seen_across_files_and_row_groups(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_manifest(
            tmp_path / f"{name}.parquet", {"item_id": ["X", name], "image_uri": pictures(2)}, rows_per_group=1
        )

    items = items_of(open_manifest(str(tmp_path)))

    assert [isinstance(item, RowFault) for item in items] == [False, False, True, False]


@settings(deadline=None, max_examples=25)
@given(
    ids=st.lists(st.sampled_from(["a", "b", "c", "d", "", None]), min_size=1, max_size=60),
    batch_size=st.integers(1, 20),
)
def test_every_row_has_an_id_and_no_two_items_share_one(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str | None], batch_size: int
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    columns = {"item_id": pa.array(ids, pa.string()), "image_uri": ["/same.jpg"] * len(ids)}
    manifest = open_manifest(write_manifest(folder / "m.parquet", columns), batch_size=batch_size)

    items = items_of(manifest)

    sound = [item.item_id for item in items if isinstance(item, Item)]
    assert len(sound) == len(set(sound))
    seen: set[str] = set()
    for given_id, item in zip(ids, items, strict=True):
        assert isinstance(item, RowFault) == (bool(given_id) and given_id in seen)
        seen.add(item.item_id)


def test_a_missing_id_is_derived_from_the_row_and_not_from_its_place(tmp_path: Path) -> None:
    columns = {
        "image_uri": pictures(3),
        "points": [[[1, 2], [3, 4]], [], None],
        "labels": [[1, 0], None, []],
        "box": [[0, 0, 5, 5], None, None],
        "prompt": ["ünïcode 鞋", None, "x"],
    }
    table = pa.table(columns)
    forward = open_manifest(write_manifest(tmp_path / "a.parquet", table))
    backward = open_manifest(write_manifest(tmp_path / "b.parquet", table.take([2, 1, 0])))

    assert ids_of(forward) == list(reversed(ids_of(backward)))
    assert len(set(ids_of(forward))) == 3
    assert all(item_id.startswith("row-") for item_id in ids_of(forward))


def test_the_table_holds_the_derived_ids(tmp_path: Path) -> None:
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(3)}))
    rows = manifest.read(manifest.batch(0))

    assert rows.table["item_id"].to_pylist() == [item.item_id for item in rows.items]


def test_rows_alike_without_ids_are_numbered(tmp_path: Path) -> None:
    images = [*pictures(2), *pictures(2), *pictures(1)]
    first, second, third, fourth, fifth = ids_of(
        open_manifest(write_manifest(tmp_path / "m.parquet", {"image_uri": images}))
    )

    assert (third, fourth, fifth) == (f"{first}-2", f"{second}-2", f"{first}-3")


@pytest.mark.parametrize(
    "row",
    [
        {"points": [[[1, 2], [3, 4]]]},
        {"points": [[[1, None]]]},
        {"points": [[None]]},
        {"points": [[]]},
        {"labels": [[1, None, 0]]},
        {"box": [[1, 2, 3, 4]]},
        {"prompt": ["quote ' \" back\\slash \n NULL None"]},
        {"mask_uri": [""], "object_name": ["鞋 é e\u0301"]},
    ],
)
def test_bulk_and_single_derivation_agree_so_that_copies_are_found(tmp_path: Path, row: dict[str, object]) -> None:
    """The scan derives ids in DuckDB, the batch in Python: a given id equal to the derived one must be seen as its duplicate."""
    alone = pa.table({"image_uri": pictures(1), **row})
    (derived,) = ids_of(open_manifest(write_manifest(tmp_path / "alone.parquet", alone)))
    both = pa.concat_tables([alone, alone]).append_column("item_id", pa.array([None, derived]))

    _, copy = items_of(open_manifest(write_manifest(tmp_path / "both.parquet", both)))

    assert isinstance(copy, RowFault)
    assert (copy.code, copy.item_id) == (ErrorCode.DUPLICATE_ITEM_ID, derived)


def test_a_given_id_cannot_take_the_number_of_a_derived_one(tmp_path: Path) -> None:
    """A manifest put together with its own results holds derived ids as given ones."""
    (base,) = ids_of(open_manifest(write_manifest(tmp_path / "one.parquet", {"image_uri": pictures(1)})))
    columns = {
        "item_id": pa.array([f"{base}-2", None, None, f"{base}-9", f"{base}-x"], pa.string()),
        "image_uri": ["/other.jpg", *pictures(1), *pictures(1), "/other.jpg", "/other.jpg"],
    }

    items = items_of(open_manifest(write_manifest(tmp_path / "m.parquet", columns)))

    assert [item.item_id for item in items if isinstance(item, Item)] == [base, f"{base}-2", f"{base}-9", f"{base}-x"]
    assert [item.row for item in items if isinstance(item, RowFault)] == [0]


def test_first_batches_know_their_duplicates_before_the_whole_is_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manifests.reader._AT_ONCE", 100)
    ids = [*(f"I{number}" for number in range(99)), "I5", *(f"J{number}" for number in range(399)), "I6"]
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"item_id": ids, "image_uri": pictures(499 + 1)}))

    assert isinstance(manifest.read(manifest.batch(1)).items[49], RowFault)
    assert manifest._duplicates is None
    assert isinstance(manifest.read(manifest.batch(9)).items[49], RowFault)


def test_duplicates_found_by_one_worker_serve_another(tmp_path: Path) -> None:
    ids = ["A", "B", "A", "A"]
    uri = write_manifest(tmp_path / "m.parquet", {"item_id": ids, "image_uri": pictures(4)})
    open_manifest(uri).duplicate_rows().save(f"{tmp_path}/found.parquet")
    other = open_manifest(uri)

    other.adopt_duplicates(Duplicates.load(f"{tmp_path}/found.parquet"))

    assert other.duplicate_rows().within(0, 4) == {2: (0, 2), 3: (0, 3)}
    assert other.duplicate_rows().within(3, 1) == {3: (0, 3)}


def test_a_copy_of_the_manifest_brings_its_duplicates_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"item_id": ["A", "A"], "image_uri": pictures(2)}))
    manifest.duplicate_rows()
    copy = pickle.loads(pickle.dumps(manifest))  # noqa: S301 - our own bytes

    monkeypatch.setattr("manifests.reader.find_duplicates", lambda *_: pytest.fail("scanned again"))

    assert copy.duplicate_rows().rows.tolist() == [1]


def test_a_duplicate_id_is_shown_on_one_line(tmp_path: Path) -> None:
    manifest = open_manifest(
        write_manifest(tmp_path / "m.parquet", {"item_id": ["a\x1b[2J\n"] * 2, "image_uri": pictures(2)})
    )

    for fault in manifest.read(manifest.batch(0)).items:
        assert isinstance(fault, RowFault)
        assert fault.message.isprintable()


def test_many_rows_are_spread_over_files_and_none_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifests.duplicates._ROWS_A_FILE", 1000)
    ids = [f"I{number % 9_000}" for number in range(20_000)]
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"item_id": ids, "image_uri": pictures(20_000)}))

    found = manifest.duplicate_rows()

    assert found.rows.tolist() == list(range(9_000, 20_000))
    assert found.first_rows.tolist() == [row % 9_000 for row in range(9_000, 20_000)]
    assert Counter(found.nth.tolist()) == {2: 9_000, 3: 2_000}
