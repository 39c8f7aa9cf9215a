"""`cleanplate sandbox`: starts, says how to use it, ends with Ctrl-C, and refuses nonsense in words."""

import signal
import socket
import subprocess
import sys

import httpx
import pytest
import typer
from typer.testing import CliRunner

from flows.commands.sandbox import sandbox
from tasks.providers.sandbox.process import sandbox_settings
from tests.tasks.providers.sandbox.harness import OBJECT_REMOVAL, PAIR

COMMAND = [sys.executable, "-c", "import typer; from flows.commands.sandbox import sandbox; typer.run(sandbox)"]
SCENARIO = """
seed = 7
[maskr]
limits = ["2/6s"]
keys = { "ours" = 6 }
[[faults]]
kind = "status"
vendor = "runflow"
"""


def refused(*arguments):
    app = typer.Typer()
    app.command()(sandbox)
    return CliRunner().invoke(app, list(arguments))


def test_it_serves_a_scenario_and_ends_with_ctrl_c(tmp_path):
    scenario = tmp_path / "bad-day.toml"
    scenario.write_text(SCENARIO)
    bill = tmp_path / "bill.sqlite3"
    arguments = ["--port", "0", "--scenario", scenario, "--bill", bill, "--quick", "--credits", "onemin=5"]
    ours = {"Authorization": "Bearer ours"}
    child = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        greeting = child.stdout.readline()
        url = next(word for word in greeting.split() if word.startswith("http://"))
        exports = [child.stdout.readline() for _ in range(1 + len(sandbox_settings(url)))]
        statuses = [httpx.post(url + OBJECT_REMOVAL, headers=ours, files=PAIR).status_code for _ in range(3)]
        health = httpx.get(f"{url}/runflow/v1/health").status_code
        child.send_signal(signal.SIGINT)

        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        child.communicate()
    assert statuses == [200, 200, 429]
    assert health == 503
    assert any(f"MASKR__BASE_URL='{url}/maskr'" in line for line in exports)
    assert bill.stat().st_size > 0


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        ("nonsense", "no valid TOML"),
        ("[maskr]\nlimit = 5", "maskr.limit"),
        ('[maskr]\nlimits = ["often"]', "60/min"),
        ('[[faults]]\nkind = "gremlin"', "faults.0.kind"),
    ],
)
def test_a_scenario_that_means_nothing_is_refused_by_key(tmp_path, scenario, says):
    path = tmp_path / "scenario.toml"
    path.write_text(scenario)
    result = refused("--scenario", str(path))

    assert result.exit_code == 2
    assert "scenario.toml" in result.output
    assert says in result.output


def test_a_missing_scenario_is_named(tmp_path):
    result = refused("--scenario", str(tmp_path / "none.toml"))

    assert result.exit_code == 2
    assert "none.toml" in result.output


@pytest.mark.parametrize("credit", ["maskr", "maskr=much", "unknown=5", "maskr=-1"])
def test_credits_that_mean_nothing_are_refused(credit):
    result = refused("--credits", credit)

    assert result.exit_code == 2
    assert "credits" in result.output


def test_a_bill_that_cannot_be_kept_is_refused(tmp_path):
    other = tmp_path / "holiday.jpg"
    other.write_bytes(b"no database" * 1000)
    result = refused("--port", "0", "--bill", str(other))

    assert result.exit_code == 2
    assert "holiday.jpg" in result.output


def test_a_port_that_is_taken_is_said_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = refused("--port", str(taken.getsockname()[1]))

    assert result.exit_code == 2
    assert "--port 0" in result.output
