"""Checking a manifest: every fault counted, the first few shown, nothing spent."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.check import check_manifest
from manifests.error_codes import ErrorCode
from manifests.errors import ManifestError
from tests.manifests.factories import pictures, write_manifest


def test_a_sound_manifest_has_no_findings(tmp_path: Path) -> None:
    columns = {
        "image_uri": pictures(3),
        "mask_uri": ["/m.png", "/m.png", None],
        "box": [None, None, [1, 2, 3, 4]],
        "sku": [1, 2, 3],
    }

    report = check_manifest(write_manifest(tmp_path / "m.parquet", columns))

    assert (report.rows, report.findings, report.exit_code) == (3, {}, 0)
    assert (report.columns, report.carried_columns) == (("image_uri", "mask_uri", "box"), ("sku",))
    assert (report.by_operation, report.by_selector) == ({"object-removal": 3}, {"mask": 2, "box": 1})


def test_faults_are_counted_over_the_whole_and_shown_by_example(tmp_path: Path) -> None:
    rows = 5000
    ids = [f"I{number}" for number in range(rows)]
    ids[4000] = "I1"
    boxes = [[0, 0, 5, 5] if number % 2 else [5, 5, 0, 0] for number in range(rows)]
    uri = write_manifest(tmp_path / "m.parquet", {"item_id": ids, "image_uri": pictures(rows), "box": boxes})

    report = check_manifest(uri, examples=3)

    assert report.findings[ErrorCode.ROW_INVALID].count == 2499
    assert [finding.row for finding in report.findings[ErrorCode.ROW_INVALID].examples] == [0, 2, 4]
    assert [finding.row for finding in report.findings[ErrorCode.DUPLICATE_ITEM_ID].examples] == [4000]
    assert (report.rows_at_fault, report.exit_code) == (2500, 3)


def test_what_an_operation_cannot_do_without_is_missed(tmp_path: Path) -> None:
    columns = {
        "image_uri": pictures(4),
        "operation": [None, "background-replace", "background-replace", "object-removal"],
        "prompt": [None, None, "on marble", "on marble"],
    }

    report = check_manifest(write_manifest(tmp_path / "m.parquet", columns))

    assert {code: [one.row for one in kind.examples] for code, kind in report.findings.items()} == {
        ErrorCode.MASK_MISSING: [0, 3],
        ErrorCode.REFERENCE_MISSING: [1],
    }


def test_files_are_asked_for_when_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "empty.jpg").touch()
    columns = {
        "item_id": ["ok", "gone", "empty", "folder", "mask", "kind"],
        "image_uri": [f"{tmp_path}/{name}" for name in ("a.jpg", "gone.jpg", "empty.jpg", "", "a.jpg")]
        + ["gopher://x/a.jpg"],
        "mask_uri": [f"{tmp_path}/a.jpg"] * 4 + ["memory://nowhere/m.png", None],
        "points": pa.array([[[1, 2]]] * 6),
    }
    uri = write_manifest(tmp_path / "m.parquet", columns)

    assert check_manifest(uri).exit_code == 0
    report = check_manifest(uri, files=True)

    messages = [finding.message for kind in report.findings.values() for finding in kind.examples]
    assert [message.rpartition(": ")[2] for message in messages] == [
        "there is no such file",
        "it is empty (0 bytes)",
        "it is a folder",
        "this kind of address cannot be opened",
        "there is no such file",
    ]
    assert report.findings[ErrorCode.MASK_NOT_FOUND].examples[0].item_id == "mask"
    assert report.files_checked == 6  # each address once


def test_signatures_in_addresses_are_not_shown(tmp_path: Path) -> None:
    uri = write_manifest(
        tmp_path / "m.parquet", {"image_uri": ["memory://b/a.jpg?X-Amz-Signature=secret"], "box": [[1, 2, 3, 4]]}
    )

    report = check_manifest(uri, files=True)

    assert "memory://b/a.jpg" in str(report)
    assert "secret" not in str(report)


def test_the_report_is_plain_data(tmp_path: Path) -> None:
    uri = write_manifest(tmp_path / "m.parquet", {"item_id": ["../x"], "image_uri": pictures(1)})

    report = json.loads(json.dumps(check_manifest(uri).to_dict()))

    assert report["findings"]["unsafe_item_id"]["count"] == 1
    assert report["findings"]["unsafe_item_id"]["examples"][0]["item_id"] == "../x"


def test_an_unusable_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="not found"):
        check_manifest(str(tmp_path / "m.parquet"))
