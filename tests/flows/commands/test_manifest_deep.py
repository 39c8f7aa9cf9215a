"""`cleanplate manifest check --deep`: what it finds in files, what it says was saved, and the page that it writes."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows.commands.manifest import app
from manifests.schemas import MANIFEST_SCHEMA
from tests.factories.dirty_pictures import ALL, DirtyRow

PRICES = {
    "CLEANPLATE_PROVIDERS__RUNFLOW__USD_PER_IMAGE": '{"object-removal": "0.48", "background-replace": "0.35"}',
    "CLEANPLATE_PROVIDERS__MASKR__CREDITS_PER_IMAGE": "3",
    "CLEANPLATE_PROVIDERS__MASKR__USD_PER_CREDIT": "0.01",
}
DOOMED = ("html_as_jpg", "truncated_png", "inverted_mask", "no_reference")
SOUND = ("plain_jpeg", "half_sized_mask", "mask_of_zeros_and_ones")


def write(folder: Path, kinds: tuple[str, ...], **changes: Any) -> Path:
    rows = [record(folder, ALL[kind](number)) | changes for number, kind in enumerate(kinds)]
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), folder / "m.parquet")
    return folder / "m.parquet"


def record(folder: Path, row: DirtyRow) -> dict[str, Any]:
    uris = {}
    for role, data in (("image", row.image), ("mask", row.mask), ("reference", row.reference)):
        path = folder / f"{row.item.item_id}-{role}{row.suffix}"
        if data is not None:
            path.write_bytes(data)
        uris[f"{role}_uri"] = None if data is None else str(path)
    return {"item_id": row.item.item_id, "operation": row.item.operation.value, **uris}


def check(manifest: Path, *arguments: str) -> Result:
    page = str(manifest.parent / "check.html")
    return CliRunner().invoke(
        app, ["check", str(manifest), "--deep", "--page", page, *arguments], env={"COLUMNS": "200", **PRICES}
    )


def test_every_row_is_judged_by_its_files_and_the_money_told(tmp_path: Path) -> None:
    found = json.loads(
        check(write(tmp_path, (*DOOMED, *SOUND)), "--json", "--provider", "runflow", "--provider", "local").stdout
    )

    assert {code: one["rows"] for code, one in found["findings"].items()} == {
        "image_unreadable": 2,
        "mask_inverted": 1,
        "reference_missing": 1,
    }
    assert {name: one["rows"] for name, one in found["repairs"].items()} == {
        "mask_resized": 1,
        "mask_levels_stretched": 1,
    }
    assert (found["rows"], found["untouched"], found["repaired"], found["rejected"]) == (7, 1, 2, 4)
    assert (found["saved_usd"], found["priced_by"]) == ("1.79", ["runflow"])  # 3 × 0.48 + 0.35


def test_the_cheapest_of_the_providers_counts_and_a_pinned_row_its_own(tmp_path: Path) -> None:
    both = ("--json", "--provider", "runflow", "--provider", "maskr")
    free = json.loads(check(write(tmp_path, ("html_as_jpg",)), *both).stdout)
    pinned = json.loads(check(write(tmp_path, ("html_as_jpg",), provider="runflow"), *both).stdout)

    assert (free["saved_usd"], pinned["saved_usd"]) == ("0.03", "0.48")


def test_without_a_price_no_saving_is_claimed(tmp_path: Path) -> None:
    told = check(write(tmp_path, ("html_as_jpg",)))

    assert told.exit_code == 3
    assert "saved at the least price" not in told.stdout
    assert "--provider names those whose prices count" in told.stdout


def test_a_sound_catalog_passes(tmp_path: Path) -> None:
    told = check(write(tmp_path, SOUND))

    assert told.exit_code == 0
    assert "Every row can be sent." in told.stdout


def test_an_unknown_provider_is_a_mistake_in_usage(tmp_path: Path) -> None:
    assert check(write(tmp_path, ("plain_jpeg",)), "--provider", "nobody").exit_code == 2


def test_the_page_shows_each_example_under_its_own_finding(tmp_path: Path) -> None:
    check(write(tmp_path, (*DOOMED, *SOUND)))
    sections = re.split(r'<section class="long" id="', (tmp_path / "check.html").read_text())
    shown = {part.split('"')[0]: re.findall(r'<bdi title="([a-z_]+)-\d+"', part) for part in sections[1:]}

    assert shown == {
        "image_unreadable": ["html_as_jpg", "truncated_png"],
        "mask_inverted": ["inverted_mask"],
        "reference_missing": ["no_reference"],
        "mask_levels_stretched": ["mask_of_zeros_and_ones"],
        "mask_resized": ["half_sized_mask"],
    }


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_nothing_of_the_catalog_becomes_markup_and_the_page_needs_no_network(tmp_path: Path, text: str) -> None:
    check(write(tmp_path, ("html_as_jpg",), image_uri=f"/nowhere/{text}", item_id=f"a{text}"))
    page = (tmp_path / "check.html").read_text()

    assert text not in page
    assert "alert(1)" in page  # it is told, as text
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
