"""Brings Prefect's automations to what `deployments/automations.yaml` says, however often it is called."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.config import ConfigurationError
from tasks.config.operations import AlertSettings

PREFIX: Final = "cleanplate: "
"""Before the name of each automation of ours; those with it and without an entry in the file are removed."""

BLOCK: Final = "cleanplate-alerts"
_PAGE: Final = 200  # the most that the server gives at once
_PAYLOADS: Final = {
    "json": """{"automation": {{ automation.name | tojson }}, "text": {{ text | tojson }},
 "event": {{ event.event | tojson }}, "resource": {{ event.resource.id | tojson }},
 "occurred": {{ event.occurred.isoformat() | tojson }}, "payload": {{ event.payload | tojson }}}""",
    "slack": """{"text": {{ (automation.name ~ "\\n" ~ text) | tojson }}}""",
    "teams": """{"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content":
 {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "weight": "bolder", "text": {{ automation.name | tojson }}},
 {"type": "TextBlock", "wrap": true, "text": {{ text | tojson }}}]}}]}""",
}


class AutomationSpec(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str
    trigger: dict[str, Any]
    notify: str | None = Field(None, description="Jinja; sent to the alert target.")
    actions: list[dict[str, Any]] = Field(default_factory=list, description="Prefect's own.")

    @model_validator(mode="after")
    def _does_something(self) -> "AutomationSpec":
        if self.notify is None and not self.actions:
            raise ValueError(f"'{self.name}' has neither notify nor actions")
        return self

    def build(self, alerts: AlertSettings, block_id: str) -> AutomationCore:
        """As Prefect wants it. ValidationError names what it does not take."""
        told = [{"type": "call-webhook", "block_document_id": block_id, "payload": payload(self.notify, alerts.style)}]
        return AutomationCore.model_validate(
            {
                "name": f"{PREFIX}{self.name}",
                "description": self.description,
                "tags": ["cleanplate"],
                "trigger": {"type": "event", **self.trigger},
                "actions": [*self.actions, *(told if self.notify else [])],
            }
        )


def payload(notify: str | None, style: Literal["json", "slack", "teams"]) -> str:
    """The template of what is sent: the message is rendered first, then quoted, so that no event can break out of the JSON."""
    return "{% set text %}" + (notify or "") + "{% endset %}" + _PAYLOADS[style]


def read_specs(path: Path | None = None) -> list[AutomationSpec]:
    """The entries of a file; None: those that come with cleanplate.

    Raises:
        ConfigurationError: the file cannot be read, or an entry is not one.
    """
    name = str(path or "deployments/automations.yaml")
    try:
        text = (
            path.read_text(encoding="utf-8")
            if path
            else files("deployments").joinpath("automations.yaml").read_text("utf-8")
        )
        entries = yaml.safe_load(text)["automations"]
        return [AutomationSpec.model_validate(entry) for entry in entries]
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
        raise ConfigurationError(f"{name} holds no list of automations: {error}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What was done to one automation."""

    name: str
    change: Literal["created", "updated", "unchanged", "removed"]


async def apply_automations(specs: Sequence[AutomationSpec], alerts: AlertSettings) -> list[Applied]:
    """Create, update and remove until Prefect has just these; automations of others are left alone.

    Raises:
        ConfigurationError: no alert target is configured, or Prefect refuses an entry.
    """
    target = _target(alerts)
    async with get_client() as client:
        block_id = await _save_target(client, target, alerts)
        there = {one.name: one async for one in _ours(client)}
        done = []
        for spec in specs:
            try:
                wanted = spec.build(alerts, block_id)
                done.append(Applied(name=spec.name, change=await _apply(client, wanted, there.pop(wanted.name, None))))
            except (ValidationError, PrefectHTTPStatusError) as error:
                raise ConfigurationError(f"Prefect does not take the automation '{spec.name}': {error}") from None
        for stale in there.values():
            await client.delete_automation(stale.id)
            done.append(Applied(name=stale.name.removeprefix(PREFIX), change="removed"))
    return done


async def _ours(client: PrefectClient) -> AsyncIterator[Automation]:
    offset = 0
    while page := await client.read_automations(limit=_PAGE, offset=offset):
        for one in page:
            if one.name.startswith(PREFIX):
                yield one
        offset += len(page)


async def _apply(
    client: PrefectClient, wanted: AutomationCore, existing: Automation | None
) -> Literal["created", "updated", "unchanged"]:
    if existing is None:
        await client.create_automation(wanted)
        return "created"
    if _essence(existing) == _essence(wanted):
        return "unchanged"
    wanted.enabled = existing.enabled  # whoever switched it off in the interface meant it
    await client.update_automation(existing.id, wanted)
    return "updated"


def _essence(automation: AutomationCore) -> str:
    told = automation.model_dump(include={"name", "description", "tags", "trigger", "actions"})
    told["trigger"].pop("id", None)
    return json.dumps(told, sort_keys=True, default=_ordered)


def _ordered(value: object) -> object:
    """Sets, such as the events that a trigger expects, have no order of their own: two equal ones may be told differently."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def _target(alerts: AlertSettings) -> str:
    try:
        target = alerts.target()
    except OSError as error:
        raise ConfigurationError(f"CLEANPLATE_ALERTS__URL_FILE cannot be read: {error.strerror}") from None
    if not target:
        raise ConfigurationError(
            "nobody to tell: set CLEANPLATE_ALERTS__URL to an address that takes an HTTP POST, or give --url"
        )
    if not target.startswith(("https://", "http://")):
        raise ConfigurationError("CLEANPLATE_ALERTS__URL must start with https://")
    return target


async def _save_target(client: PrefectClient, target: str, alerts: AlertSettings) -> str:
    headers = {"Content-Type": "application/json"}
    if alerts.header is not None:
        name, colon, value = alerts.header.get_secret_value().partition(":")
        if not colon or not name.strip():
            raise ConfigurationError("CLEANPLATE_ALERTS__HEADER must be written as `Name: value`")
        headers[name.strip()] = value.strip()
    block = Webhook.model_validate({"url": target, "headers": headers})
    return str(await block.asave(BLOCK, overwrite=True, client=client))
