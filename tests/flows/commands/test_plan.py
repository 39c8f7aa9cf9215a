"""`cleanplate plan` as people and scripts read it."""

import io
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flows.cli import application
from flows.commands.plan_page import render_plan
from manifests.error_codes import ErrorCode
from tasks.routing import Work
from tasks.routing.planner import NotDone, Plan, WorkClass, make_plan
from tests.factories.catalogs import write_catalog
from tests.tasks.routing.factories import maskr, provider


def page(plan: Plan, width: int = 100) -> str:
    out = io.StringIO()
    render_plan(plan, Console(file=out, width=width))
    return out.getvalue()


def plan(**bounds: object) -> Plan:
    views = [maskr(usd="0.09", credits_left=Decimal(3000)), provider("runflow", usd="0.48", limits=("20/min",))]
    return make_plan([WorkClass(work=Work(), rows=2500)], views, now=0.0, reused=40, **bounds)


def test_the_answer_comes_first_then_who_does_what_then_what_more_time_would_save() -> None:
    lines = page(plan()).splitlines()

    assert lines[0] == "2,500 of 2,540 rows for $810.00, done in 1 h 15 min · cheapest"
    assert "40 more are there already" in lines[1]
    text = "\n".join(lines)
    assert text.index("maskr") < text.index("runflow") < text.index("total")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_amounts_and_times_are_never_broken_over_lines(width: int) -> None:
    text = page(plan(deadline_s=3600.0), width)

    assert "$90.00" in text
    assert "59 min 4 s" in text


def test_a_conflict_says_what_must_give() -> None:
    text = " ".join(page(plan(budget_usd=Decimal(500))).split())

    assert "budget must give" in text
    assert "$810.00 at the least" in text
    assert "budget_reached" in text


def test_a_warning_stands_before_the_figures_that_it_is_about() -> None:
    text = page(replace(plan(), warnings=("maskr has no price in US dollars: [b]",)))

    assert text.index("Warning: maskr has no price in US dollars: [b]") < text.index("endpoint")


def test_names_from_the_outside_stay_text() -> None:
    hostile = NotDone(code=ErrorCode.NO_PROVIDER, rows=1, message="provider '[red]x[/red][/]' is unknown")

    assert "[red]x[/red][/]" in page(replace(plan(), not_done=(hostile,)))


def run(*arguments: str, home: Path) -> tuple[int, str]:
    environment = {"CLEANPLATE_LEDGER_URL": f"sqlite:///{home}/ledger.sqlite3"}
    ended = CliRunner(env=environment).invoke(application("plan"), ["plan", *arguments])
    return ended.exit_code, ended.stdout


def test_json_is_all_that_goes_to_standard_output(tmp_path: Path) -> None:
    code, out = run(str(write_catalog(tmp_path, 3)), "--json", home=tmp_path)

    assert code == 0
    assert json.loads(out)["planned"] == 3


def test_a_plan_that_leaves_rows_out_exits_3(tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path, 3, extra={"provider": ["runflow", None, None]})
    code, out = run(str(manifest), home=tmp_path)

    assert code == 3
    assert "no_provider" in out


def test_a_manifest_that_is_not_there_exits_2(tmp_path: Path) -> None:
    assert run(str(tmp_path / "none.parquet"), home=tmp_path)[0] == 2


def test_the_dry_run_of_run_prints_the_same_plan_and_runs_nothing(tmp_path: Path) -> None:
    manifest = str(write_catalog(tmp_path, 3))
    environment = {"CLEANPLATE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.sqlite3"}
    arguments = ["run", manifest, "--to", str(tmp_path / "out"), "--dry-run", "--json"]
    ended = CliRunner(env=environment).invoke(application("run"), arguments)

    assert json.loads(ended.stdout) == json.loads(run(manifest, "--json", home=tmp_path)[1])
    assert not (tmp_path / "out").exists()
