"""docs/results.md tells the truth: its tables are the schemas, its queries run on a real run and agree with summary.json.

To renew the generated tables: `python -m tests.tasks.report.test_results_doc`.
"""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from manifests import ErrorCode
from manifests.results import results_schema
from manifests.schemas import MANIFEST_SCHEMA
from tasks.report.database import VIEWS, duckdb, view_sql

DOC = Path(__file__).parents[3] / "docs" / "results.md"
REPEATED_ITEMS = 1  # item-012 comes twice in the real run: its second row is rejected
FENCE = re.compile(r"```(sql|python) (\w+)\n(.*?)```", re.DOTALL)


def columns_table() -> str:
    lines = ["| column | type | nulls | what it holds |", "|---|---|---|---|"]
    for field in results_schema(MANIFEST_SCHEMA):
        description = field.metadata[b"description"].decode().replace("|", "\\|")
        kind, nulls = str(field.type).replace("item: ", ""), "yes" if field.nullable else "no"
        lines.append(f"| `{field.name}` | {kind} | {nulls} | {description} |")
    return "\n".join(lines)


def error_codes_table() -> str:
    lines = ["| error code | what to do |", "|---|---|"]
    return "\n".join(lines + [f"| `{code.value}` | {code.advice} |" for code in ErrorCode])


GENERATED = {"columns": columns_table, "error-codes": error_codes_table}


def section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}:[^\n]*-->\n)(.*?)(\n?<!-- /{name} -->)", re.DOTALL)


def fences(language: str) -> dict[str, str]:
    return {name: text for kind, name, text in FENCE.findall(DOC.read_text()) if kind == language}


@pytest.mark.parametrize("name", GENERATED)
def test_the_tables_are_those_of_the_schemas(name: str) -> None:
    found = section(name).search(DOC.read_text())

    assert found is not None
    assert found[2] == GENERATED[name]()


@pytest.fixture
def summary(real_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The summary of a real run; the queries run where `out` holds that run."""
    (tmp_path / "out").symlink_to(real_run.parent)
    monkeypatch.chdir(tmp_path)
    content: dict[str, Any] = json.loads((real_run / "summary.json").read_text())
    return content


@pytest.fixture
def answers(summary: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Every SQL query of the document, asked."""
    connection = duckdb().connect()
    queries = fences("sql")
    connection.execute(queries.pop("results"))
    for view in VIEWS:
        connection.execute(view_sql(view))
    found = {name: connection.execute(query).df() for name, query in queries.items()}
    connection.close()
    return found


def test_every_view_is_queried_in_the_document() -> None:
    queries = "\n".join(fences("sql").values())

    assert [view for view in VIEWS if f"FROM {view}" not in queries] == []


def test_sql_and_summary_agree_on_outcomes(answers: dict[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    outcomes = answers["outcomes"]

    assert dict(zip(outcomes["state"], outcomes["items"], strict=True)) == summary["by_state"]
    assert outcomes["reused"].sum() == summary["reused"]


def test_sql_and_summary_agree_on_providers(answers: dict[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    found = {
        row.provider: (row.items, row.delivered, row.requests, Decimal(str(row.cost_usd)))
        for row in answers["providers"].itertuples()
    }

    assert found == {
        name: (of["rows"], of["succeeded"], of["attempts"], Decimal(of["cost_usd"]))
        for name, of in summary["by_provider"].items()
    }


def test_sql_and_summary_agree_on_causes(answers: dict[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    causes = answers["causes"]

    assert len(causes) >= 3
    assert dict(zip(causes["error_code"], causes["items"], strict=True)) == summary["by_error_code"]


def test_the_views_add_up_to_the_summary(answers: dict[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    rows, delivered = summary["totals"]["rows"], summary["totals"]["succeeded"]

    assert answers["spend_by_day"]["items"].sum() == rows
    assert Decimal(str(answers["spend_by_day"]["cost_usd"].sum())) == Decimal(summary["totals"]["cost_usd"])
    assert answers["failures_by_cause"]["items"].sum() == rows - delivered
    assert (
        answers["provider_scorecard"]["items"].sum()
        == sum(of["rows"] for of in summary["by_provider"].values()) - summary["reused"]
    )
    assert len(answers["still_open"]) == rows - delivered - REPEATED_ITEMS
    assert len(answers["review_queue"]) == delivered
    assert answers["review_queue"]["review_score"].between(0, 100).all()
    assert answers["by_own_column"]["items"].sum() == rows


def test_pandas_and_summary_agree(summary: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    for snippet in fences("python").values():
        exec(snippet, found)  # noqa: S102 - the document's own examples

    assert found["outcomes"].to_dict() == summary["by_state"]
    assert found["causes"].to_dict() == summary["by_error_code"]
    spent = {name: Decimal(str(usd)) for name, usd in found["providers"]["cost_usd"].items()}
    assert spent == {name: Decimal(of["cost_usd"]) for name, of in summary["by_provider"].items()}
    assert found["providers"]["requests"].sum() == sum(of["attempts"] for of in summary["by_provider"].values())
    assert Decimal(str(found["spend_by_day"].sum())) == Decimal(summary["totals"]["cost_usd"])
    assert len(found["latest"]) == summary["totals"]["rows"] - REPEATED_ITEMS
    assert found["latest"].set_index("item_id")["state"]["item-012"] == "succeeded"


if __name__ == "__main__":
    text = DOC.read_text()
    for name, table in GENERATED.items():
        renewed = table()
        text = section(name).sub(lambda found, renewed=renewed: found[1] + renewed + "\n" + found[3].lstrip("\n"), text)  # type: ignore[misc]
    DOC.write_text(text)
