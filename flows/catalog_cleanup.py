"""The main flow: edit every item of a manifest, and leave one outcome per item behind."""

from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.batch_window import edit_batches
from flows.interruption import stop_gracefully_on_signals
from flows.run_names import cleanup_run_name, scheduled_start
from flows.task_runner import configured_task_runner
from manifests.summary import Expected, RunSummary
from tasks.config import CleanupConfig, Settings, load_settings
from tasks.editing.beacon import beacon
from tasks.editing.planned_run import PlannedRun
from tasks.editing.runtimes import closing_runtime, current_snapshot, runtime_of
from tasks.editing.sweep import batches_with_work
from tasks.observability import configure_logging
from tasks.observability.metrics import exposed
from tasks.plan_batches import plan_batches
from tasks.publish_report import publish_decisions, publish_report
from tasks.report.sentences import headline, sentence
from tasks.secret_blocks import load_settings_with_blocks
from tasks.write_results import write_results


def edit_in_passes(plan: PlannedRun, settings: Settings) -> Expected | None:
    """Edit every batch, then again those with rows that another try may help. Returns what the run was expected to take."""
    with (
        exposed(settings.observability),
        beacon(plan, current_snapshot),
        stop_gracefully_on_signals(plan),
        closing_runtime(plan),
    ):
        still_open = edit_batches(
            plan, batches_with_work(plan, lambda: runtime_of(plan, load_settings_with_blocks)), len(plan.numbers), 1
        )
        for pass_number in range(2, plan.config.passes + 1):
            if still_open:
                still_open = edit_batches(plan, still_open, len(still_open), pass_number)
        publish_decisions(plan)
        return runtime_of(plan, load_settings_with_blocks).expected()


@flow(
    name="catalog-cleanup",
    flow_run_name=cleanup_run_name,
    task_runner=configured_task_runner(),
    validate_parameters=True,
)
def catalog_cleanup(config: CleanupConfig, retry: bool = False) -> State[RunSummary | None]:
    """Clean the pictures that a manifest lists: plan, edit in batches of 50, pass again over what is open, write results.

    Args:
        config: what to clean, where to put it, and within which bounds.
        retry: take up again what an earlier run of the same id left unfinished; `cleanplate retry` sets it.
    """
    settings = load_settings()
    configure_logging(settings)
    ends_at = config.ends(datetime.now(UTC))  # the same moment for every process that edits batches
    plan = plan_batches(config.at(scheduled_start()).model_copy(update={"ends_at": ends_at}), retry=retry)
    if config.shard is not None:
        edit_in_passes(plan, settings)
        return Completed(message=f"shard {config.shard} is done; bulk-reprocess joins the results")
    expected = None
    try:
        expected = edit_in_passes(plan, settings)
    finally:  # every row has its outcome, also when the run fails
        summary = write_results(plan, expected)
        publish_report(plan, summary)
    return Completed(name=headline(summary), message=sentence(summary), data=summary)
