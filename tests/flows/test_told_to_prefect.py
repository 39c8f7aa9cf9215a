"""What a run tells a real Prefect server: events for automations, artifacts for people."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.factories.catalogs import write_catalog
from tests.flows.conftest import Cleanplate
from tests.rehearsals import rehearsal

pytestmark = pytest.mark.xdist_group("prefect")

EVENTS = {"cleanplate.provider.parked", "cleanplate.budget.reached", "cleanplate.run.finished"}
RUN_ID = "told"


def test_credits_that_run_out_a_budget_that_is_reached_and_the_end_are_events(
    cleanplate: Cleanplate, prefect_api: str, tmp_path: Path
) -> None:
    """Maskr's account pays for three pictures, and the budget for those and one of Runflow's; routing is a table, progress a bar."""
    manifest = write_catalog(tmp_path / "in", 8)
    with rehearsal(tmp_path, maskr={"credits": 9}) as here:
        sandboxed = {name: value for name, value in here.environment.items() if name.startswith("CLEANPLATE_")}
        ended = cleanplate.run(
            *("run", str(manifest), "--to", str(tmp_path / "out"), "--run-id", RUN_ID),
            *("--provider", "maskr", "--provider", "runflow", "--budget-usd", "0.60"),
            **sandboxed | {"CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE": "1"},
        )
        assert ended.returncode == 4, ended.stderr
        assert here.charges() == 4

    told = events_of(prefect_api, RUN_ID)
    assert set(told) == EVENTS
    assert told["cleanplate.provider.parked"]["resource"]["prefect.resource.id"] == "cleanplate.provider.maskr"
    kinds = Counter(one["type"] for one in artifacts(prefect_api))
    assert kinds["progress"]
    table = next(one for one in artifacts(prefect_api) if one["key"] == "cleanplate-manifest-routing")
    assert "runflow" in str(table["data"])


def events_of(api: str, run_id: str) -> dict[str, Any]:
    """By name; the server stores them a little later than they are sent."""
    until = time.monotonic() + 60
    found: dict[str, Any] = {}
    while set(found) < EVENTS and time.monotonic() < until:
        answer = httpx.post(f"{api}/events/filter", json={"filter": {"event": {"prefix": ["cleanplate."]}}}, timeout=20)
        events = answer.raise_for_status().json()["events"]
        found = {event["event"]: event for event in events if run_id in str(event)}
        time.sleep(0.2)
    return found


def artifacts(api: str) -> list[dict[str, Any]]:
    """All of this server's."""
    listed: list[dict[str, Any]] = httpx.post(f"{api}/artifacts/filter", json={}, timeout=20).raise_for_status().json()
    return listed
