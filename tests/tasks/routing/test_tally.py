"""Rows counted by kind, from the manifest's columns."""

import tracemalloc

import pyarrow as pa
import pytest

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from manifests.schemas import MANIFEST_SCHEMA
from tasks.routing import Work
from tasks.routing.planner import Tally, duration


def manifest(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist([{"image_uri": "a.jpg"} | row for row in rows], schema=MANIFEST_SCHEMA)


def test_rows_are_counted_by_what_is_asked() -> None:
    tally = Tally()
    tally.add_columns(
        manifest(
            {"mask_uri": "m.png"},
            {"mask_uri": "m.png", "operation": "object-removal"},
            {"points": [[1, 2]], "labels": [1]},
            {"box": [0, 0, 9, 9], "mask_uri": ""},
            {"object_name": "chair", "provider": "modelslab"},
            {"operation": "background-replace", "mask_uri": "m.png", "reference_uri": "r.jpg"},
            {"operation": "background-replace", "prompt": "a beach"},
        )
    )

    assert {one.work: one.rows for one in tally.classes} == {
        Work(): 2,
        Work(selectors=frozenset({"points"})): 1,
        Work(selectors=frozenset({"box"})): 1,
        Work(selectors=frozenset({"text"}), pinned="modelslab"): 1,
        Work(operation=Operation.BACKGROUND_REPLACE, selectors=frozenset({"mask", "reference"})): 1,
        Work(operation=Operation.BACKGROUND_REPLACE, selectors=frozenset({"prompt"})): 1,
    }


def test_rows_without_picture_selection_or_known_operation_are_rejections() -> None:
    tally = Tally()
    tally.add_columns(
        pa.table(
            {
                "image_uri": ["a", "a", "a", "a", None],
                "mask_uri": ["m", None, None, "m", "m"],
                "reference_uri": [None, None, "r", None, None],
                "operation": [None, "background-replace", None, "erase", None],
            }
        )
    )

    assert tally.rejected == {
        ErrorCode.REFERENCE_MISSING: 1,
        ErrorCode.MASK_MISSING: 1,
        ErrorCode.ROW_INVALID: 2,
    }
    assert tally.rows == 5


def test_a_manifest_of_two_columns_and_an_empty_one_are_counted_too() -> None:
    tally = Tally()
    tally.add_columns(pa.table({"image_uri": ["a", "b"], "mask_uri": ["m", "n"]}))
    tally.add_columns(MANIFEST_SCHEMA.empty_table())

    assert [(one.work, one.rows) for one in tally.classes] == [(Work(), 2)]


def test_memory_does_not_grow_with_the_rows() -> None:
    block = pa.table({"image_uri": ["s3://b/a.jpg"] * 50_000, "mask_uri": ["s3://b/m.png"] * 50_000})

    def peak(blocks: int) -> int:
        tally = Tally()
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        for _ in range(blocks):
            tally.add_columns(block)
        held = tracemalloc.get_traced_memory()[1] + max(0, pa.total_allocated_bytes() - before)
        tracemalloc.stop()
        assert tally.rows == 50_000 * blocks
        return held

    peak(1)
    # The least of several: what threads of earlier tests allocate meanwhile only adds, and growth would show in each.
    assert min(peak(40) for _ in range(3)) < min(peak(2) for _ in range(3)) + 100_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.2, "1 min"),
        (200, "3 min 20 s"),
        (7201, "2 h 1 min"),
        (3599.5, "1 h"),
        (100_000, "1 d 4 h"),
        (86_400, "1 d"),
    ],
)
def test_durations_are_said_in_two_units_and_never_too_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
