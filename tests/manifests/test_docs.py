"""The page for users names every column."""

import re
from pathlib import Path

from manifests.schemas import MANIFEST_SCHEMA

PAGE = Path(__file__).parents[2] / "docs" / "manifests.md"


def test_every_column_of_a_manifest_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text(), re.MULTILINE))

    assert explained >= set(MANIFEST_SCHEMA.names)
