"""`cleanplate manifest`: what it prints and how it exits."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows.commands.manifest import app


def cleanplate_manifest(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures, one of them with a mask."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "a_mask.png", "b[1].jpg"):
        (folder / name).write_bytes(b"x")
    return folder


def test_a_manifest_that_was_built_passes_its_check(tmp_path: Path, photos: Path) -> None:
    built = cleanplate_manifest("build", photos, "--out", tmp_path / "m.parquet", "--mask", "{stem}_mask.png")
    checked = cleanplate_manifest("check", tmp_path / "m.parquet", "--files")

    assert (built.exit_code, checked.exit_code) == (0, 0)
    assert "1 rows written" in built.output
    assert f"left out: 1, such as {photos}/b[1].jpg" in built.output
    assert "files asked for: 2" in checked.output
    assert "Nothing is wrong with it." in checked.output


def test_a_table_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Photo,SKU\na.jpg,007\n")

    built = cleanplate_manifest(
        "build", tmp_path / "t.csv", "--out", tmp_path / "m.parquet", "--map", "image_uri=Photo", "--map", "item_id=SKU",
        "--operation", "background-replace", "--set", "prompt=a=b", "--base", "https://shop/img", "--json",
    )  # fmt: skip

    assert json.loads(built.output)["rows"] == 1
    assert pq.read_table(tmp_path / "m.parquet").to_pylist() == [
        {"item_id": "007", "image_uri": "https://shop/img/a.jpg", "operation": "background-replace", "prompt": "a=b"}
    ]


def test_findings_are_shown_and_make_the_exit_code_3(tmp_path: Path) -> None:
    pq.write_table(pa.table({"item_id": ["../[x]", "B"], "image_uri": ["/a.jpg", "/b.jpg"]}), tmp_path / "m.parquet")

    shown = cleanplate_manifest("check", tmp_path / "m.parquet")
    plain = cleanplate_manifest("check", tmp_path / "m.parquet", "--json", "--examples", "0")

    assert (shown.exit_code, plain.exit_code) == (3, 3)
    assert "row 0: item_id '../[x]' cannot name a file" in shown.output
    assert "2 of 2 rows would not succeed" in shown.output
    assert json.loads(plain.output)["findings"] == {
        "unsafe_item_id": {"count": 1, "examples": []},
        "mask_missing": {"count": 1, "examples": []},
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["check", "nowhere.parquet"], "nowhere.parquet: not found"),
        (["build", "nowhere", "--out", "m.parquet"], "nowhere: not found"),
        (["build", "t.csv", "u.csv", "--out", "m.parquet"], "give one table at a time"),
        (["build", "t.csv", "--out", "m.parquet", "--mask", "{stem}.png"], "say --map mask_uri="),
        (["build", "photos", "--out", "m.parquet", "--map", "image_uri=x"], "--map and --base are for tables"),
        (["build", "photos", "--out", "m.parquet", "--set", "prompt"], "--set prompt: write it as COLUMN=VALUE"),
        (["build", "gopher://x", "--out", "m.parquet"], "Protocol not known"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_exits_2(arguments: list[str], complaint: str) -> None:
    result = cleanplate_manifest(*arguments)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.output
