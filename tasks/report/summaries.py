"""What `run.json` and `summary.json` say beyond the counts: what was asked, planned, saved. Unknown or torn parts are left out."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from tasks.config import CleanupConfig
from tasks.report import wording
from tasks.report.facts import PlanFacts, Savings


def asked(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The run's knobs, labelled, in the order of `CleanupConfig`; only knobs that it knows, so nothing private slips in."""
    labels = {"to": "Delivered to", "run_id": "", "budget_usd": "Budget", "batches_in_flight": "Batches at once"}
    found = []
    for name in CleanupConfig.model_fields:
        label = labels.get(name, name.replace("_", " ").capitalize())
        value = config.get(name)
        if label and value is not None:
            found.append((label, _shown(name, value)))
    return found


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "budget_usd":
        return wording.money(_decimal(value))
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return wording.place(str(value))


def planned(summary: Mapping[str, Any]) -> PlanFacts | None:
    """The plan that the run was started with, when it was recorded."""
    plan = summary.get("plan")
    if not isinstance(plan, Mapping):
        return None
    facts = PlanFacts(cost_usd=_decimal(plan.get("cost_usd")), duration_s=_number(plan.get("duration_s")))
    return None if facts == PlanFacts() else facts


def recorded_savings(summary: Mapping[str, Any]) -> Savings | None:
    """The savings that the run counted itself, when it did."""
    saved = summary.get("savings")
    if not isinstance(saved, Mapping):
        return None
    batch = _number(saved.get("batch_requests"))
    return Savings(
        reuse_usd=_decimal(saved.get("reuse_usd")),
        preflight_usd=_decimal(saved.get("preflight_usd")),
        batch_requests=None if batch is None else int(batch),
    )


def _decimal(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
