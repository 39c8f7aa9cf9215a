"""What happens in a run that people may want to be told, as values. `tasks/publish_events.py` hands them to Prefect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from manifests import State

PROVIDER_PARKED: Final = "cleanplate.provider.parked"
BUDGET_REACHED: Final = "cleanplate.budget.reached"
RUN_FINISHED: Final = "cleanplate.run.finished"
IN_DOUBT_WAITING: Final = "cleanplate.in_doubt.waiting"
BACKLOG_GROWING: Final = "cleanplate.backlog.growing"
LEDGER_DISCREPANCY: Final = "cleanplate.ledger.discrepancy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened. Names, payload keys and resource ids are an outside interface: automations are written against them."""

    name: str
    kind: str  # of what it happened to: provider, run or catalog
    key: str  # which one
    payload: Mapping[str, Any] = field(default_factory=dict)  # JSON; money as decimal strings, times as ISO 8601

    @property
    def resource(self) -> dict[str, str]:
        """As Prefect names things: the id says the kind, `cleanplate.<kind>` is the label to group by."""
        return {
            "prefect.resource.id": f"cleanplate.{self.kind}.{self.key}",
            "prefect.resource.name": self.key,
            f"cleanplate.{self.kind}": self.key,
        }


def provider_parked(provider: str, *, reason: str, run_id: str, until: datetime | None = None) -> Event:
    """An account can serve nobody for now; `until`: when it is tried again, None: not before something changes."""
    payload = {"reason": reason, "run_id": run_id, "until": until and until.isoformat()}
    return Event(name=PROVIDER_PARKED, kind="provider", key=provider, payload=payload)


def budget_reached(run_id: str, *, budget_usd: Decimal, spent_usd: Decimal, rows_deferred: int) -> Event:
    """A run may not spend any more."""
    payload = {"budget_usd": str(budget_usd), "spent_usd": str(spent_usd), "rows_deferred": rows_deferred}
    return Event(name=BUDGET_REACHED, kind="run", key=run_id, payload=payload)


def run_finished(
    run_id: str, *, states: Mapping[State, int], cost_usd: Decimal, run_folder: str, report: str = ""
) -> Event:
    """A run has written its results."""
    counts = {state.value: states.get(state, 0) for state in State}
    payload = {
        "rows": sum(counts.values()),
        **counts,
        "cost_usd": str(cost_usd),
        "run_folder": run_folder,
        "report": report,
    }
    return Event(name=RUN_FINISHED, kind="run", key=run_id, payload=payload)


def in_doubt_waiting(provider: str, *, rows: int, held_usd: Decimal, oldest: datetime | None = None) -> Event:
    """Attempts wait for a person's word: `cleanplate ledger in-doubt` lists them."""
    payload = {"rows": rows, "held_usd": str(held_usd), "oldest": oldest and oldest.isoformat()}
    return Event(name=IN_DOUBT_WAITING, kind="provider", key=provider, payload=payload)


def backlog_growing(catalog: str, *, rows: int, before: int) -> Event:
    """More rows wait for another try than the last time somebody looked."""
    return Event(name=BACKLOG_GROWING, kind="catalog", key=catalog, payload={"rows": rows, "before": before})


def ledger_discrepancy(provider: str, *, finding: str, difference: str, advice: str) -> Event:
    """The provider's balance is not what our books say."""
    payload = {"finding": finding, "difference": difference, "advice": advice}
    return Event(name=LEDGER_DISCREPANCY, kind="provider", key=provider, payload=payload)
