"""A manifest of a table: mapped columns become ours, all others come along as they are."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.build import build_from_table
from manifests.errors import ManifestError
from manifests.tables import TableSource

DAY = datetime(2026, 11, 20)  # noqa: DTZ001 - Excel knows no time zones


def a_table(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def build(path: Path, **options: Any) -> pa.Table:
    source = {name: options.pop(name) for name in ("encoding", "delimiter", "sheet") if name in options}
    report = build_from_table(TableSource(uri=str(path), **source), str(path.with_suffix(".parquet")), **options)
    return pq.read_table(report.uri)


def test_mapped_columns_become_ours_and_the_rest_comes_along(tmp_path: Path) -> None:
    path = a_table(
        tmp_path, 'Photo;SKU;Points;Box;Colour\na.jpg;00123;"[[1,2],[3,4]]";1,2,3,4;\n/b.jpg;00124;;;"red; dark"\n'
    )

    table = build(path, mapping={"image_uri": "Photo", "item_id": "SKU", "points": "Points", "box": "Box"})

    assert table.to_pylist() == [
        {
            "item_id": "00123",
            "image_uri": f"{tmp_path}/a.jpg",
            "points": [[1, 2], [3, 4]],
            "box": [1, 2, 3, 4],
            "Colour": None,
        },
        {"item_id": "00124", "image_uri": "/b.jpg", "points": None, "box": None, "Colour": "red; dark"},
    ]


def test_columns_named_like_ours_need_no_mapping(tmp_path: Path) -> None:
    table = build(a_table(tmp_path, "IMAGE_URI,Mask_URI\ns3://b/a.jpg,s3://b/m.png\n"))

    assert table.to_pylist() == [{"image_uri": "s3://b/a.jpg", "mask_uri": "s3://b/m.png"}]


def test_addresses_may_be_made_of_other_columns(tmp_path: Path) -> None:
    path = a_table(tmp_path, "SKU,View\nA1,front\nA2,\n")

    table = build(
        path, mapping={"image_uri": "{SKU}/{View}.jpg", "mask_uri": "masks/{SKU}.png"}, base="memory:///bucket/catalog"
    )

    assert table.to_pylist() == [
        {
            "image_uri": "memory:///bucket/catalog/A1/front.jpg",
            "mask_uri": "memory:///bucket/catalog/masks/A1.png",
            "SKU": "A1",
            "View": "front",
        },
        {"image_uri": None, "mask_uri": "memory:///bucket/catalog/masks/A2.png", "SKU": "A2", "View": None},
    ]


def test_a_column_of_our_name_that_is_mapped_from_elsewhere_keeps_its_facts(tmp_path: Path) -> None:
    table = build(
        a_table(tmp_path, "Photo,prompt\n/a.jpg,old\n"), mapping={"image_uri": "Photo"}, constants={"prompt": "new"}
    )

    assert table.to_pylist() == [{"image_uri": "/a.jpg", "prompt": "new", "input_prompt": "old"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    path = a_table(tmp_path, f'"Photo, the first"{delimiter}Name\n/a.jpg{delimiter}x\n')

    assert build(path, mapping={"image_uri": "Photo, the first"}).to_pylist() == [{"image_uri": "/a.jpg", "Name": "x"}]


def test_compressed_and_foreign_encodings_are_read(tmp_path: Path) -> None:
    packed = a_table(tmp_path, gzip.compress("\ufeffimage_uri\n/größe.jpg\n".encode()), "t.csv.gz")
    windows = a_table(tmp_path, "image_uri\n/größe.jpg\n".encode("cp1252"), "w.csv")

    assert build(packed).to_pylist() == [{"image_uri": "/größe.jpg"}]
    assert build(windows, encoding="cp1252").to_pylist() == [{"image_uri": "/größe.jpg"}]
    with pytest.raises(ManifestError, match=r"w\.csv: is not utf-8-sig text .*--encoding cp1252"):
        build(windows)


def test_json_lines_keep_types_and_may_lack_keys(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"photo": "/a.jpg", "points": [[1, 2]], "price": 1, "tags": ["x"], "mixed": 1},
        {"photo": "/b.jpg", "box": [1, 2, 3, 4], "price": 2.5, "stock": True, "mixed": "S1", "none": None},
    ]
    path = a_table(tmp_path, "\n".join(map(json.dumps, rows)) + "\n\n", "t.jsonl")

    table = build(path, mapping={"image_uri": "photo"})

    assert table.drop_columns(["image_uri", "points", "box"]).to_pydict() == {
        "price": [1.0, 2.5], "tags": [["x"], None], "mixed": ["1", "S1"], "stock": [None, True], "none": [None, None],
    }  # fmt: skip
    assert table["points"].to_pylist() == [[[1, 2]], None]


def test_columns_that_appear_late_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifests.mapping.CHUNK_ROWS", 2)
    lines = [json.dumps({"image_uri": f"/{n}.jpg"} | ({"late": n} if n == 4 else {})) for n in range(5)]

    assert build(a_table(tmp_path, "\n".join(lines), "t.jsonl"))["late"].to_pylist() == [None, None, None, None, 4]


def test_excel_sheets_are_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["not this one"])
    sheet = book.create_sheet("Autumn")
    for row in (
        ["Photo", "SKU", "Seen", "Mixed", None],
        ["a.jpg", 1001, DAY, 7, None],
        [None] * 5,
        ["b.jpg", 1002.0, None, "x", None],
    ):
        sheet.append(row)
    path = tmp_path / "t.xlsx"
    book.save(path)

    table = build(path, sheet="Autumn", mapping={"image_uri": "Photo", "item_id": "SKU"})

    assert table["item_id"].to_pylist() == ["1001", "1002"]
    assert table["Seen"].to_pylist() == [DAY, None]
    assert table["Mixed"].to_pylist() == ["7", "x"]
    with pytest.raises(ManifestError, match="has no sheet 'Winter': there are Sheet, Autumn"):
        build(path, sheet="Winter")


def test_cells_that_cannot_be_used_are_named_by_line_and_nothing_is_written(tmp_path: Path) -> None:
    path = a_table(
        tmp_path, 'image_uri,points,box\n/a.jpg,"[[1,2",\n/b.jpg,,"[1.5,2,3,4]"\n/c.jpg,"[[1,2]]",\n/d.jpg,"{}",\n'
    )

    with pytest.raises(ManifestError) as caught:
        build(path)

    lines = str(caught.value).splitlines()
    assert "3 rows cannot be used; nothing was written" in lines[0]
    assert lines[1].startswith("  line 2, column points: JSON such as [[120, 80], [40, 60]] is expected, not '[[1,2'")
    assert lines[2].startswith("  line 3, column box: whole numbers are expected, not 1.5")
    assert lines[3].startswith("  line 5, column points")
    assert not path.with_suffix(".parquet").exists()


@pytest.mark.parametrize(
    ("name", "text", "options", "complaint"),
    [
        ("t.csv", "Photo\n/a.jpg\n", {}, r"Say --map image_uri=COLUMN; there are: Photo"),
        ("t.csv", "Photo\n/a.jpg\n", {"mapping": {"image_uri": "Foto"}}, "there is no column 'Foto' to take image_uri from; there are: Photo"),
        ("t.csv", "Photo\n/a.jpg\n", {"mapping": {"image_uri": "{Foto}.jpg"}}, r"there is no \{Foto\}"),
        ("t.csv", "Photo\n/a.jpg\n", {"mapping": {"imageuri": "Photo"}}, "'imageuri' is no column of a manifest; there are: item_id, image_uri"),
        ("t.csv", "image_uri,a\n/a.jpg\n", {}, "line 2 has 1 values, the header 2"),
        ("t.csv", 'image_uri,a\n/a.jpg,"open\n', {}, "line 2: unexpected end of data"),
        ("t.csv", "image_uri,A,a\n/a.jpg,1,2\n", {}, "columns' names must be there and differ; look at: A, a"),
        ("t.csv", "", {}, "the first line must hold the columns' names"),
        ("t.csv", "image_uri\n", {}, "has no rows"),
        ("t.csv", "image_uri\n/a.jpg\n", {"encoding": "klingon"}, "is not klingon text .*unknown encoding"),
        ("t.jsonl", '{"image_uri": "/a.jpg"}\n[1]\n', {}, "line 2 is no JSON object"),
        ("t.jsonl", "{\n", {}, "line 1 is no JSON"),
        ("t.jsonl", '{"image_uri": "/a.jpg", "x": [1]}\n{"image_uri": "/a.jpg", "x": 1}\n', {}, "column x holds lists or objects and other things"),
        ("t.jsonl", '{"image_uri": ["/a.jpg"]}\n', {}, r"line 1, column image_uri: text is expected, not \['/a.jpg'\]"),
        ("t.xlsx", "no workbook", {}, "is no Excel workbook"),
        ("t.csv.gz", "no gzip", {}, "cannot be read"),
        ("t.ods", "x", {}, "of no known kind: give .csv"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used_say_why(
    tmp_path: Path, name: str, text: str, options: dict[str, Any], complaint: str
) -> None:
    path = a_table(tmp_path, text, name)

    with pytest.raises(ManifestError, match=complaint):
        build(path, **options)

    assert not path.with_suffix(".parquet").exists()
