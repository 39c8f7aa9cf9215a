"""What docs/sandbox.md shows is what the sandbox takes and has."""

import re
from pathlib import Path

import pytest

from tasks.providers.sandbox.app import create_app
from tasks.providers.sandbox.config import SandboxConfig, ScenarioError
from tasks.providers.sandbox.faults import Endpoint, FaultKind

PAGE = Path(__file__).parents[4] / "docs" / "sandbox.md"


def test_the_scenario_of_the_page_is_taken(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    config = SandboxConfig.from_toml(path)

    assert config.maskr.keys == {"sk-live-ours": 30}
    assert [fault.kind for fault in config.faults] == ["status", "drop_after", "outage", "wrong_size"]


def test_every_fault_and_endpoint_is_on_the_page():
    page = PAGE.read_text()

    assert {word for word in (*FaultKind, *Endpoint) if f"`{word}`" not in page} == set()


def test_every_control_is_on_the_page():
    page = PAGE.read_text()
    control = next(mount for mount in create_app().routes if mount.path == "/_sandbox")

    assert {route.path for route in control.routes if f"/_sandbox{route.path}" not in page} == set()


def test_a_scenario_never_shows_a_key_in_its_complaint(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text('[maskr]\nkeys = { "sk-live-very-secret" = "much" }\n')
    with pytest.raises(ScenarioError) as refused:
        SandboxConfig.from_toml(path)

    assert "maskr.keys" in str(refused.value)
    assert "very-secret" not in str(refused.value)
