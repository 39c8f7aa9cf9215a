"""Prefect task: one batch, from rows to outcomes."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from manifests.items import BatchRef, batch_id
from tasks.editing.batch import BatchReport, edit_rows
from tasks.editing.planned_run import PlannedRun
from tasks.editing.runtime import Runtime
from tasks.editing.runtimes import runtime_of
from tasks.observability import log_context
from tasks.publish_events import publish_event
from tasks.secret_blocks import load_settings_with_blocks


def _name() -> str:
    """`batch 12 · 50 items · maskr, local`: who may be asked; who was is in the results."""
    given = task_run.parameters
    batch: BatchRef = given["batch"]
    return f"batch {batch.index} · {batch.length} items · {', '.join(given['plan'].config.providers)}"


# No retries here: the retry policy inside decides, and one layer retries.
@task(name="edit-batch", task_run_name=_name, cache_policy=NO_CACHE)
def edit_batch(plan: PlannedRun, batch: BatchRef, pass_number: int) -> BatchReport:
    """Edit what is open in a batch, write its part, and say what is still open."""
    runtime = runtime_of(plan, load_settings_with_blocks)
    with log_context(run_id=plan.run_id, batch_id=batch_id(plan.run_id, batch)):
        return runtime.run(edit_rows(runtime, batch, pass_number), meanwhile=lambda: _publish_events(runtime))


def _publish_events(runtime: Runtime) -> None:
    """At once: people must not wait for the end of a batch, nor miss what a process said that is killed before it."""
    for event in runtime.drain_events():
        publish_event(event)
