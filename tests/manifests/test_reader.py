"""Opening manifests: which files are one, how they are cut into batches, and what refuses to be one."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import ManifestError
from manifests.items import Item
from manifests.reader import Manifest, open_manifest
from tests.manifests.factories import pictures, write_manifest


def all_rows(manifest: Manifest) -> list[dict[str, object]]:
    return [row for ref in manifest.batches() for row in manifest.read(ref).table.to_pylist()]


def image_uris(manifest: Manifest) -> list[object]:
    return [row["image_uri"] for row in all_rows(manifest)]


def test_batches_do_not_span_row_groups_and_leave_no_row_out(tmp_path: Path) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(270)}, rows_per_group=120)

    manifest = open_manifest(uri)

    refs = list(manifest.batches())
    assert [(ref.row_group, ref.offset, ref.length) for ref in refs] == [
        (0, 0, 50), (0, 50, 50), (0, 100, 20), (1, 0, 50), (1, 50, 50), (1, 100, 20), (2, 0, 30),
    ]  # fmt: skip
    assert [ref.first_row for ref in refs] == [0, 50, 100, 120, 170, 220, 240]
    assert image_uris(manifest) == pictures(270)


def test_a_batch_is_found_by_its_number(tmp_path: Path) -> None:
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(270)}, rows_per_group=120))

    assert [manifest.batch(index) for index in range(manifest.batch_count)] == list(manifest.batches())
    assert [ref.index for ref in manifest.batches(start=2, stop=5)] == [2, 3, 4]
    with pytest.raises(IndexError, match="batch 7"):
        manifest.batch(7)


@settings(deadline=None, max_examples=20)
@given(
    groups=st.lists(st.integers(0, 130), min_size=1, max_size=4).filter(any),
    batch_size=st.integers(1, 60),
    order=st.randoms(use_true_random=False),
)
def test_batches_read_in_any_order_give_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], batch_size: int, order: object
) -> None:
    folder = tmp_path_factory.mktemp("groups")
    start = 0
    for number, rows in enumerate(groups):
        write_manifest(
            folder / f"{number}.parquet", {"image_uri": pa.array(pictures(rows, start), pa.string())}, rows_per_group=70
        )
        start += rows
    manifest = open_manifest(str(folder), batch_size=batch_size)
    refs = list(manifest.batches())
    order.shuffle(refs)  # type: ignore[attr-defined]  # hypothesis gives a Random

    read = {ref.index: manifest.read(ref).table["image_uri"].to_pylist() for ref in refs}

    assert [uri for index in sorted(read) for uri in read[index]] == pictures(start)


def test_a_large_row_group_is_read_in_windows_by_several_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manifests.row_groups._WINDOW_ROWS", 64)  # so that batches straddle windows
    uri = write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(1000)})
    manifest = open_manifest(uri)
    refs = [*manifest.batches(), *reversed(list(manifest.batches()))]

    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(manifest.read, refs))

    for ref, batch in zip(refs, batches, strict=True):
        assert batch.table["image_uri"].to_pylist() == pictures(ref.length, ref.first_row)


def test_the_next_batch_of_a_row_group_does_not_decode_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    iter_batches = pq.ParquetFile.iter_batches

    def counted(*args: object, **kwargs: object) -> object:
        for batch in iter_batches(*args, **kwargs):
            decoded.append(len(batch))
            yield batch

    manifest = open_manifest(
        write_manifest(tmp_path / "m.parquet", {"item_id": pictures(20_000), "image_uri": pictures(20_000)})
    )
    manifest.duplicate_rows()
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)

    for ref in manifest.batches():
        manifest.read(ref)

    assert sum(decoded) == 20_000


def test_a_manifest_travels_to_another_worker(tmp_path: Path) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(120), "item_id": ["same"] * 120})
    manifest = open_manifest(uri)
    manifest.read(manifest.batch(0))

    copy = pickle.loads(pickle.dumps(manifest))  # noqa: S301 - our own bytes

    assert copy.read(manifest.batch(2)).items == manifest.read(manifest.batch(2)).items


def test_a_folder_a_list_and_a_glob_are_manifests(tmp_path: Path) -> None:
    one = write_manifest(tmp_path / "in" / "a.parquet", {"image_uri": pictures(3)})
    two = write_manifest(tmp_path / "in" / "deep" / "b.parquet", {"image_uri": pictures(2, 3)})
    write_manifest(tmp_path / "in" / "_parts" / "c.parquet", {"image_uri": pictures(1)})
    (tmp_path / "in" / "_SUCCESS").touch()

    assert image_uris(open_manifest(str(tmp_path / "in"))) == pictures(5)
    assert image_uris(open_manifest([two, one])) == [*pictures(2, 3), *pictures(3)]
    assert image_uris(open_manifest(f"{tmp_path}/in/*/b.parq*")) == pictures(2, 3)
    assert image_uris(open_manifest(f"{tmp_path}/i[n]")) == pictures(5)


def test_partition_folders_become_columns(tmp_path: Path) -> None:
    write_manifest(tmp_path / "day=2026-11-19" / "shop=nord%20west" / "a.parquet", {"image_uri": pictures(1)})
    write_manifest(
        tmp_path / "day=2026-11-20" / "shop=__HIVE_DEFAULT_PARTITION__" / "a.parquet", {"image_uri": pictures(1, 1)}
    )

    rows = all_rows(open_manifest(str(tmp_path)))

    assert [(row["day"], row["shop"]) for row in rows] == [("2026-11-19", "nord west"), ("2026-11-20", None)]


def test_a_partition_may_be_a_column_of_ours(tmp_path: Path) -> None:
    write_manifest(tmp_path / "operation=background-replace" / "a.parquet", {"image_uri": pictures(1)})

    manifest = open_manifest(str(tmp_path))

    (item,) = manifest.read(manifest.batch(0)).items
    assert isinstance(item, Item)
    assert item.operation == "background-replace"


def test_any_fsspec_address_will_do(tmp_path: Path) -> None:
    local = Path(write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(60)}))
    with fsspec.open("memory://bucket/reader/m.parquet", "wb") as file:
        file.write(local.read_bytes())

    assert image_uris(open_manifest("memory://bucket/reader/m.parquet")) == pictures(60)
    assert image_uris(open_manifest("memory://bucket/reader")) == pictures(60)


def test_foreign_columns_keep_their_types_and_nulls(tmp_path: Path) -> None:
    foreign = {
        "price": pa.array([None, Decimal("12.50")], pa.decimal128(9, 2)),
        "shelf": pa.array(["a", None]).dictionary_encode(),
        "seen": pa.array([None, 5], pa.timestamp("ms", tz="Europe/Berlin")),
        "tags": pa.array([["x"], None], pa.list_(pa.string())),
        "dims": pa.array([{"w": 1}, None], pa.struct([("w", pa.int16())])),
        "a.b": pa.array([1, None], pa.uint8()),
    }
    uri = write_manifest(tmp_path / "m.parquet", {**foreign, "image_uri": pictures(2)})

    manifest = open_manifest(uri)

    table = manifest.read(manifest.batch(0)).table
    for name, column in foreign.items():
        assert table.schema.field(name).type == column.type
        assert table[name].to_pylist() == column.to_pylist()


def test_columns_named_like_outcomes_are_carried_under_another_name(tmp_path: Path) -> None:
    uri = write_manifest(
        tmp_path / "m.parquet", {"image_uri": pictures(1), "State": ["Ohio"], "width": [3], "quality_score": [0.5]}
    )

    (row,) = all_rows(open_manifest(uri))

    assert (row["input_State"], row["input_width"], row["input_quality_score"]) == ("Ohio", 3, 0.5)
    assert not {"State", "width", "quality_score"} & row.keys()


def test_files_may_differ_in_what_they_lack(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.parquet", {"image_uri": pictures(1), "sku": pa.nulls(1)})
    write_manifest(tmp_path / "b.parquet", {"image_uri": pictures(1, 1), "sku": ["S2"], "mask_uri": ["/m.png"]})

    rows = all_rows(open_manifest(str(tmp_path)))

    assert [(row["sku"], row["mask_uri"]) for row in rows] == [(None, None), ("S2", "/m.png")]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[[1, 2]]], pa.list_(pa.list_(pa.int16()))),
        pa.array([[[1, 2]]], pa.large_list(pa.list_(pa.uint32(), 2))),
        pa.array([[[1.0, 2.0]]], pa.list_(pa.list_(pa.float64()))),
    ],
)
def test_points_may_come_in_any_kind_of_number_list(tmp_path: Path, column: pa.Array) -> None:
    manifest = open_manifest(write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(1), "points": column}))

    (item,) = manifest.read(manifest.batch(0)).items

    assert isinstance(item, Item)
    assert item.points == ((1, 2),)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string_view()])
def test_text_may_come_in_any_kind_of_string(tmp_path: Path, kind: pa.DataType) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"Image_URI": pa.array(pictures(2)).cast(kind), "item_id": [7, 8]})

    rows = all_rows(open_manifest(uri))

    assert [(row["item_id"], row["image_uri"]) for row in rows] == [("7", pictures(2)[0]), ("8", pictures(2)[1])]


def test_image_uri_is_missed_by_name(tmp_path: Path) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"image_url": pictures(1), "sku": ["S1"]})

    with pytest.raises(
        ManifestError, match=r"m\.parquet: column image_uri .* there are: image_url, sku.*--map image_uri=image_url"
    ):
        open_manifest(uri)


@pytest.mark.parametrize(
    ("name", "column", "complaint"),
    [
        ("image_uri", pa.array([1]), "column image_uri is int64, expected string"),
        ("mask_uri", pa.array([b"x"]), "column mask_uri is binary, expected string"),
        ("points", pa.array(["[[1, 2]]"]), "column points is string, expected list.*manifest build"),
        ("points", pa.array([[1, 2]]), "column points is list"),
        ("box", pa.array([{"x": 1}]), "column box is struct"),
        ("item_id", pa.array([1.5]), "column item_id is double"),
    ],
)
def test_a_column_of_the_wrong_type_is_named(tmp_path: Path, name: str, column: pa.Array, complaint: str) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(1), name: column})

    with pytest.raises(ManifestError, match=complaint):
        open_manifest(uri)


def test_an_empty_manifest_is_refused(tmp_path: Path) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"image_uri": pa.array([], pa.string())})

    with pytest.raises(ManifestError, match="has no rows"):
        open_manifest(uri)
    with pytest.raises(ManifestError, match="no manifest was named"):
        open_manifest([])


def test_columns_that_differ_by_case_alone_are_refused(tmp_path: Path) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(1), "Sku": ["a"], "SKU": ["b"]})

    with pytest.raises(ManifestError, match="'Sku' and 'SKU'"):
        open_manifest(uri)


def test_files_that_disagree_are_named(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.parquet", {"image_uri": pictures(1), "sku": [1]})
    write_manifest(tmp_path / "b.parquet", {"image_uri": pictures(1), "sku": ["S1"]})

    with pytest.raises(ManifestError, match=r"b\.parquet: column sku is string, but int64 .*a\.parquet"):
        open_manifest(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("m.csv", b"image_uri\n/a.jpg\n", "not a Parquet file; make one of it with `cleanplate manifest build`"),
        ("m.parquet", b"", "not a Parquet file"),
        ("m.parquet", b"PAR1" + b"\xff" * 40 + b"\x10\0\0\0PAR1", "cannot be read"),
    ],
)
def test_rubbish_is_refused(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ManifestError, match=complaint):
        open_manifest(str(path))


def test_a_file_cut_off_behind_an_intact_footer_is_a_manifest_fault(tmp_path: Path) -> None:
    path = Path(write_manifest(tmp_path / "m.parquet", {"image_uri": pictures(5000)}))
    data = bytearray(path.read_bytes())
    data[4:4000] = b"\xee" * 3996
    path.write_bytes(data)
    manifest = open_manifest(str(path))

    with pytest.raises(ManifestError, match=r"m\.parquet, row group 0: cannot be read"):
        manifest.read(manifest.batch(0))


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("nowhere/m.parquet", "not found"),
        ("nowhere/*.parquet", "holds no Parquet files"),
        ("gopher://x/m.parquet", "Protocol not known"),
    ],
)
def test_an_address_that_leads_nowhere_is_named(uri: str, complaint: str) -> None:
    with pytest.raises(ManifestError, match=complaint):
        open_manifest(uri)


def test_a_folder_without_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()

    with pytest.raises(ManifestError, match="holds no Parquet files"):
        open_manifest(str(tmp_path))
