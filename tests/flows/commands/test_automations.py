"""The automations that ship: on a real server, heard by a real receiver; and which runs each of them is about."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from tasks.apply_automations import apply_automations, read_specs
from tasks.config import ConfigurationError
from tasks.config.operations import AlertSettings
from tasks.observability.events import Event, provider_parked
from tests.receivers import Receiver, receiver

server = pytest.mark.xdist_group("prefect")
TOKEN = "hook-0123456789abcdef"


@pytest.fixture
def there(prefect_api: str) -> Iterator[httpx.Client]:
    """The server, as this process's Prefect knows it; left without automations of ours."""
    with temporary_settings({PREFECT_API_URL: prefect_api}), httpx.Client(base_url=prefect_api, timeout=30) as api:
        yield api
        apply("http://127.0.0.1:9/", set())


def apply(url: str, names: set[str] | None = None) -> dict[str, str]:
    specs = [spec for spec in read_specs() if names is None or spec.name in names]
    return {one.name: one.change for one in asyncio.run(apply_automations(specs, AlertSettings(url=SecretStr(url))))}


def send(api: httpx.Client, event: Event) -> None:
    body = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": event.name,
        "resource": event.resource,
        "payload": dict(event.payload),
    }
    api.post("/events", json=[body]).raise_for_status()


@server
def test_a_parked_provider_reaches_the_receiver(there: httpx.Client) -> None:
    parked = provider_parked("onemin", reason="Insufficient credits", run_id="nightly-2026-11-20")
    with receiver(f"/{TOKEN}") as alerts:
        apply(alerts.url)
        send(there, parked)
        deadline = time.monotonic() + 60
        while not (told := about(alerts, parked)) and time.monotonic() < deadline:
            time.sleep(0.1)

    [one] = told
    assert one["automation"] == "cleanplate: provider parked"
    assert "onemin is parked: Insufficient credits (run nightly-2026-11-20)" in one["text"]
    assert "cleanplate ledger top-up onemin" in one["text"]


def about(alerts: Receiver, event: Event) -> list[dict[str, Any]]:
    """Other tests' runs may be told of too: they share the server."""
    return [one for one in alerts.received if one["resource"] == event.resource["prefect.resource.id"]]


@server
def test_applying_again_changes_nothing_and_what_is_gone_from_the_file_is_removed(there: httpx.Client) -> None:
    url = f"http://127.0.0.1:9/{TOKEN}"

    first, second = apply(url), apply(url)
    third = apply(url, {"run failed"})

    assert set(first.values()) == {"created"}
    assert second == dict.fromkeys(first, "unchanged")
    assert third == {name: "unchanged" if name == "run failed" else "removed" for name in first}
    shown = there.post("/block_documents/filter", json={}).text
    assert "cleanplate-alerts" in shown
    assert TOKEN not in shown


def test_nobody_to_tell_is_said_before_anything_is_asked() -> None:
    with pytest.raises(ConfigurationError, match="CLEANPLATE_ALERTS__URL"):
        asyncio.run(apply_automations(read_specs(), AlertSettings()))


def crashed(deployment: str | None, *tags: str, flow: str = "catalog-cleanup") -> ReceivedEvent:
    related = [
        {"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "flow", "prefect.resource.name": flow}
    ]
    if deployment:
        related.append(
            {
                "prefect.resource.id": "prefect.deployment.1",
                "prefect.resource.role": "deployment",
                "prefect.resource.name": deployment,
            }
        )
    related += [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags]
    facts: dict[str, Any] = {
        "id": uuid4(),
        "occurred": datetime.now(UTC),
        "received": datetime.now(UTC),
        "event": "prefect.flow-run.Crashed",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{uuid4()}", "prefect.resource.name": "night"},
        "related": related,
    }
    return ReceivedEvent.model_validate(facts)


def trigger(name: str) -> EventTrigger:
    [spec] = [spec for spec in read_specs() if spec.name == name]
    return EventTrigger.model_validate({"type": "event", **spec.trigger})


@pytest.mark.parametrize(
    ("event", "goes_on"),
    [
        (crashed("catalog-cleanup-nightly", "cleanplate", "auto-scheduled"), True),
        (crashed("serve-nightly", "cleanplate", "auto-scheduled"), True),
        (crashed("catalog-cleanup-nightly", "cleanplate"), False),  # by hand, or taken up already
        (crashed("bulk-shard", "cleanplate", "bulk", "shard=2/8"), False),  # bulk-reprocess replaces it itself
        (crashed("bulk-shard", "cleanplate", "auto-scheduled"), False),
        (crashed("bulk-reprocess", "cleanplate", flow="bulk-reprocess"), False),
        (crashed(None, "cleanplate"), False),  # `cleanplate run`
    ],
)
def test_only_a_scheduled_night_goes_on_by_itself(event: ReceivedEvent, goes_on: bool) -> None:
    assert trigger("crashed night goes on").covers(event) is goes_on


@pytest.mark.parametrize(("flow", "told"), [("catalog-cleanup", True), ("ledger-reconcile", True), ("theirs", False)])
def test_a_crash_is_told_for_flows_of_ours_alone(flow: str, told: bool) -> None:
    assert trigger("run crashed").covers(crashed("any", flow=flow)) is told
