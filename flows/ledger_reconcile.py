"""Each day: do our books and the providers' own balances agree?"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.run_names import dated_run_name
from tasks.config import load_settings
from tasks.config.upkeep import ReconcileConfig
from tasks.credits import OpenAttempt
from tasks.observability import configure_logging
from tasks.observability.events import Event, in_doubt_waiting, ledger_discrepancy
from tasks.publish_events import publish_event
from tasks.reconcile import Comparison, Reconciliation, reconcile
from tasks.secret_blocks import load_secret

_DEFAULTS = ReconcileConfig()


@flow(name="ledger-reconcile", flow_run_name=dated_run_name)
def ledger_reconcile(config: ReconcileConfig = _DEFAULTS) -> State[Reconciliation]:
    """Compare what our ledger expects with what each provider says, and list what waits for a person's word."""
    settings = load_settings()
    configure_logging(settings)
    found = asyncio.run(reconcile(config, settings, load_secret=load_secret))
    _publish(found, config)
    differing = ", ".join(one.provider for one in found.discrepancies) or "none"
    message = (
        f"{len(found.comparisons)} accounts compared, differing: {differing}; {len(found.in_doubt)} attempts in doubt"
    )
    return Completed(message=message, data=found)


def _publish(found: Reconciliation, config: ReconcileConfig) -> None:
    create_table_artifact(
        [one.as_row() for one in found.comparisons],
        key="ledger-reconcile",
        description="What our books expect at each provider, and what it says.",
    )
    create_table_artifact(
        [{name: str(value) for name, value in asdict(line).items()} for line in found.statement],
        key="ledger-statement",
        description=f"What was charged in the last {config.days} days.",
    )
    for one in found.discrepancies:
        publish_event(_as_event(one))
    for provider, attempts in groupby(sorted(found.in_doubt, key=attrgetter("provider")), key=attrgetter("provider")):
        publish_event(_doubt(provider, list(attempts)))


def _as_event(one: Comparison) -> Event:
    difference = f"{one.difference} {one.unit}"
    return ledger_discrepancy(one.provider, finding=one.finding, difference=difference, advice=one.finding.advice)


def _doubt(provider: str, attempts: Sequence[OpenAttempt]) -> Event:
    held = sum((one.usd for one in attempts), start=Decimal(0))
    return in_doubt_waiting(
        provider, rows=len(attempts), held_usd=held, oldest=min(one.reserved_at for one in attempts)
    )
