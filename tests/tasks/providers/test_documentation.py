from pathlib import Path

import pytest
from pydantic import BaseModel

from tasks.config.providers import (
    MaskrSettings,
    MessagePatterns,
    ModelsLabSettings,
    OneMinSettings,
    ProviderSettings,
    RunflowSettings,
)
from tasks.config.services import CallbackSettings, StagingSettings
from tasks.providers.registry import KEYS

PAGE = (Path(__file__).parents[3] / "docs" / "providers.md").read_text()
SECTIONS = {heading: body for heading, _, body in (part.partition("\n") for part in PAGE.split("\n## "))}
ELSEWHERE = {
    "enabled",
    "requests_per_minute",
    "batch_requests_per_minute",
    "host",
    "port",
    "timeout_s",
    "connect_timeout_s",
}


def names(model: type[BaseModel], base: type[BaseModel] | None = None) -> set[str]:
    return set(model.model_fields) - set(base.model_fields if base else ()) - ELSEWHERE


@pytest.mark.parametrize("model", [ProviderSettings, CallbackSettings, StagingSettings])
def test_every_common_setting_is_documented(model: type[BaseModel]) -> None:
    assert {name for name in names(model) if name.upper() not in PAGE} == set()


def test_every_group_of_messages_is_documented() -> None:
    assert {name for name in MessagePatterns.model_fields if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Runflow", RunflowSettings),
        ("Maskr", MaskrSettings),
        ("ModelsLab", ModelsLabSettings),
        ("1min.ai", OneMinSettings),
    ],
)
def test_every_setting_of_a_vendor_is_documented_in_its_section(heading: str, model: type[BaseModel]) -> None:
    missing = {name for name in names(model, ProviderSettings) if name.upper() not in SECTIONS[heading]}

    assert missing == set()


def test_every_provider_is_in_the_table() -> None:
    assert [key for key in KEYS if f"| `{key}` |" not in PAGE] == []
