"""docs/quality.md names every finding, repair, threshold with its default, and metric."""

import re
from pathlib import Path

import pytest

from manifests.repairs import REPAIRS
from manifests.schemas import OUTCOME_SCHEMA
from tasks.config.imaging import PreflightSettings, QualitySettings
from tests.factories.dirty_pictures import ALL, DOOMED, REPAIRABLE

PAGE = (Path(__file__).parents[3] / "docs" / "quality.md").read_text()


@pytest.mark.parametrize("settings", [PreflightSettings, QualitySettings])
def test_every_threshold_is_on_the_page(settings: type[PreflightSettings | QualitySettings]) -> None:
    assert {name for name in settings.model_fields if f"`{name}`" not in PAGE} == set()


def test_every_finding_is_on_the_page() -> None:
    codes = {str(ALL[kind](0).code) for kind in DOOMED}

    assert {code for code in codes if f"`{code}`" not in PAGE} == set()


def test_every_repair_is_explained_on_the_page_and_in_the_report() -> None:
    made = {repair for kind in REPAIRABLE for repair in ALL[kind](0).repairs}

    assert made <= set(REPAIRS)
    assert {repair for repair in REPAIRS if f"`{repair}`" not in PAGE} == set()


def test_every_metric_is_on_the_page() -> None:
    columns = [name for name in OUTCOME_SCHEMA.names if name.startswith("quality_")]

    assert {name for name in columns if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize("settings", [PreflightSettings(), QualitySettings()])
def test_the_defaults_of_the_page_are_those_of_the_settings(settings: PreflightSettings | QualitySettings) -> None:
    stated = {name: value.strip() for name, value in re.findall(r"\| `(\w+)` \| ([^|`]+) \|", PAGE)}
    actual = {name: getattr(settings, name) for name in stated.keys() & type(settings).model_fields.keys()}

    assert actual
    assert {name: stated[name] for name in actual} == {name: _shown(value) for name, value in actual.items()}


def _shown(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:,}"
