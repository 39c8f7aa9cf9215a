"""Each hour: rows that were deferred because an account ran dry, a provider was down or time was up get another try."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed
from prefect.variables import Variable

from flows.catalog_cleanup import catalog_cleanup
from flows.run_names import dated_run_name
from tasks.config import load_settings
from tasks.config.upkeep import RetryDeferredConfig
from tasks.deferred import DeferredRun, choose, find_deferred
from tasks.observability import configure_logging
from tasks.observability.events import backlog_growing
from tasks.publish_events import publish_event

_AT_WORK = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


@flow(name="retry-deferred", flow_run_name=dated_run_name)
def retry_deferred(config: RetryDeferredConfig) -> State[int]:
    """Take up the newest runs that have deferred rows, each under its own budget; tell when the backlog grows."""
    configure_logging(load_settings())
    if _catalog_is_at_work():
        return Completed(message="a catalog-cleanup is at work: it takes these rows itself", data=0)
    waiting = find_deferred(config, now=datetime.now(UTC))
    chosen = choose(waiting, config)
    states = {run.run_id: catalog_cleanup(run.config, retry=True, return_state=True) for run in chosen if run.config}
    left = find_deferred(config, now=datetime.now(UTC)) if chosen else waiting
    _report(waiting, states, left)
    rows = _rows(left)
    _compare_with_last_time(config, rows)
    return Completed(message=f"{len(chosen)} runs taken up, {_rows(waiting)} rows waited, {rows} wait on", data=rows)


def _rows(runs: Sequence[DeferredRun]) -> int:
    return sum(run.waiting for run in runs)


def _catalog_is_at_work() -> bool:
    states = FlowRunFilterState(type=FlowRunFilterStateType(any_=_AT_WORK))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[catalog_cleanup.name])),
            flow_run_filter=FlowRunFilter(state=states),
            limit=1,
        )
    return bool(found)


def _report(waiting: Sequence[DeferredRun], states: dict[str, State], left: Sequence[DeferredRun]) -> None:
    still = {run.run_id: run.waiting for run in left}
    rows = [
        {
            "run": run.run_id,
            "folder": run.folder_uri,
            "waited": run.waiting,
            "wait on": still.get(run.run_id, 0),
            "causes": ", ".join(f"{code} {count}" for code, count in sorted(run.causes.items())),
            "what was done": run.why_not or (states[run.run_id].name if run.run_id in states else "left for later"),
        }
        for run in waiting
    ]
    create_table_artifact(rows, key="retry-deferred", description="Runs with deferred rows, and what became of them.")
    for run in waiting:
        if run.why_not:
            get_run_logger().warning("run %s is left alone: %s", run.run_id, run.why_not)


def _compare_with_last_time(config: RetryDeferredConfig, rows: int) -> None:
    """A Prefect variable remembers the count from hour to hour; the first time there is nothing to compare with."""
    name = f"cleanplate_backlog_{hashlib.sha256(config.to.encode()).hexdigest()[:12]}"
    before = Variable.get(name, default=None)
    Variable.set(name, rows, overwrite=True)
    if isinstance(before, int) and rows > before:
        publish_event(backlog_growing(config.to, rows=rows, before=before))
