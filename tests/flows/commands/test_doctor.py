"""The doctor at the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import application


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.sqlite3")


def test_findings_come_as_json_for_scripts(tmp_path: Path) -> None:
    told = CliRunner().invoke(application("doctor"), ["doctor", "--json"])

    assert told.exit_code == 0
    findings = {one["name"]: one for one in json.loads(told.stdout)}
    assert findings["ledger"]["status"] == "ok"
    assert set(findings["ledger"]) == {"name", "status", "what", "to_do"}


def test_findings_come_as_a_table_for_people_and_the_exit_code_says_that_something_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", "mysql://nowhere")

    told = CliRunner().invoke(application("doctor"), ["doctor"])

    assert told.exit_code == 3
    assert "fail" in told.stdout
    assert "→ Correct CLEANPLATE_LEDGER_URL" in " ".join(told.stdout.split())


def test_a_configuration_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_CONFIG", "")
    file = tmp_path / "other.toml"
    file.write_text("[providers.maskr]\nkey = 'x'")

    told = CliRunner().invoke(application("doctor"), ["doctor", "--json", "--config", str(file)])

    assert told.exit_code == 3
    assert "CLEANPLATE_PROVIDERS__MASKR__KEY" in told.stdout
