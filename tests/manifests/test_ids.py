"""Identities: equal for equal work, different for anything that changes the delivered picture."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from manifests.ids import attempt_key, content_key, new_run_id
from manifests.items import Operation
from manifests.run_folder import RUN_ID

WORK: dict[str, Any] = {
    "image_sha256": "ab" * 32,
    "mask_sha256": "cd" * 32,
    "operation": Operation.OBJECT_REMOVAL,
    "points": ((1, 2), (3, 4)),
    "box": (0, 0, 9, 9),
    "prompt": "p",
}


def test_the_recipe_of_content_keys_never_changes_under_one_prefix() -> None:
    """Keys are stored in ledgers and results: if this value changes, everything is paid again, so the prefix must change too."""
    assert content_key(**WORK) == "c1-c6624eaf86e017581c610eece58db7c5593bc93f997bc972791565563678bb2a"
    assert attempt_key("c1-x", "maskr", 1) == "a1-d1256bd887d5395fb8dcce62e2c310b902558e95e9e0cdeb961b44232b7e3419"


@pytest.mark.parametrize(
    "other",
    [
        {"image_sha256": "ee" * 32},
        {"mask_sha256": None},
        {"mask_sha256": None, "reference_sha256": "cd" * 32},
        {"operation": Operation.BACKGROUND_REPLACE},
        {"points": ((1, 2), (4, 3))},
        {"labels": (1, 0)},
        {"box": None},
        {"prompt": None, "object_name": "p"},
        {"prompt": "P"},
        {"output_format": "png"},
    ],
)
def test_other_work_has_another_key(other: dict[str, Any]) -> None:
    assert content_key(**{**WORK, **other}) != content_key(**WORK)


def test_the_same_work_said_otherwise_has_the_same_key() -> None:
    same = {
        "image_sha256": "AB" * 32,
        "labels": [1, 1],
        "points": [[1, 2], [3, 4]],
        "box": [0, 0, 9, 9],
        "object_name": "",
    }

    assert content_key(**{**WORK, **same}) == content_key(**WORK)


def test_each_try_at_each_provider_has_its_own_key() -> None:
    keys = {
        attempt_key(content, provider, number)
        for content in "xy"
        for provider in ("maskr", "local")
        for number in (1, 2)
    }

    assert len(keys) == 8


@pytest.mark.parametrize(
    ("uri", "stem"),
    [
        ("s3://bucket/Spring Catalog.parquet", "Spring-Catalog"),
        ("/data/nightly/", "nightly"),
        ("data/*.parquet", "data"),
        ("https://host/a.b.parquet?sig=secret", "a"),
        ("/out/run_id=night-20261119T131500Z/results.parquet", "night"),
        ("../", "run"),
        ("/鞋子.parquet", "run"),
        ("x" * 300, "x" * 60),
    ],
)
def test_run_ids_are_readable_and_fit_a_folders_name(uri: str, stem: str) -> None:
    now = datetime(2026, 11, 20, 14, 15, tzinfo=timezone(timedelta(hours=1)))

    assert new_run_id(uri, now) == f"{stem}-20261120T131500Z"
    assert RUN_ID.fullmatch(new_run_id(uri, now))
