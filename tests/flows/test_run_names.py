"""What runs are called on Prefect's pages."""

from datetime import UTC, datetime
from typing import Any

import pytest

from flows import run_names


def named(monkeypatch: pytest.MonkeyPatch, **knobs: Any) -> str:
    retry = knobs.pop("retry", False)
    config = {"manifest": "s3://in/shoes.parquet", "to": "s3://out", **knobs}
    facts = {
        "parameters": {"config": config, "retry": retry},
        "scheduled_start_time": datetime(2026, 11, 20, 23, 30, tzinfo=UTC),
    }
    monkeypatch.setattr(run_names, "flow_run", type("FlowRun", (), {**facts, "flow_name": "ledger-reconcile"}))
    return run_names.cleanup_run_name()


def test_a_night_is_called_by_its_date(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(monkeypatch, run_id="nightly-{scheduled@Europe/Berlin:%Y-%m-%d}") == "nightly-2026-11-21"


def test_shards_and_retries_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(monkeypatch, run_id="big", shard="2/8", retry=True) == "big shard 2/8 retry"


def test_without_a_run_id_it_is_the_catalog_and_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(monkeypatch) == "shoes 2026-11-20 23:30"


def test_helpers_are_called_by_what_they_do_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch)

    assert run_names.dated_run_name() == "ledger-reconcile 2026-11-20 23:30"


def test_the_form_of_a_deployment_keeps_the_order_in_which_fields_are_written() -> None:
    """PostgreSQL's JSON does not keep it: Prefect's interface sorts by `position`."""
    from prefect.utilities.callables import parameter_schema  # noqa: PLC0415 - seconds

    from flows.catalog_cleanup import catalog_cleanup  # noqa: PLC0415

    fields = parameter_schema(catalog_cleanup).definitions["CleanupConfig"]["properties"]

    assert [one["position"] for one in fields.values()] == list(range(len(fields)))
    assert next(iter(fields)) == "manifest"
    assert all(one["description"] for one in fields.values())
