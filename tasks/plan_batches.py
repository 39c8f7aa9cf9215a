"""Prefect task: find out what a run has to do, and leave the run's own record in its folder."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.config import CleanupConfig
from tasks.editing.planned_run import PlannedRun
from tasks.editing.planning import plan_run
from tasks.secret_blocks import load_settings_with_blocks


@task(name="plan-batches", task_run_name="plan", cache_policy=NO_CACHE)
def plan_batches(config: CleanupConfig, *, retry: bool = False) -> PlannedRun:
    """Open the manifest, check what must be checked before anything is written, and say which batches there are."""
    plan = plan_run(config, load_settings_with_blocks(), retry=retry)
    get_run_logger().info(in_words(plan))
    return plan


def in_words(plan: PlannedRun) -> str:
    """`Run nightly-2026-11-20: 160 rows in 4 batches; may ask maskr, runflow; at most $50.` - the first line on the run's page."""
    config = plan.config
    ceiling = "no ceiling" if config.budget_usd is None else f"at most ${config.budget_usd}"
    limits = ceiling if config.deadline is None else f"{ceiling}, nothing new after {config.deadline}"
    count = len(plan.numbers)
    batches = f"{count:,} {'batch' if count == 1 else 'batches'}" + (
        "" if config.shard is None else f" (shard {config.shard})"
    )
    return f"Run {plan.run_id}: {plan.row_count:,} rows in {batches}; may ask {', '.join(config.providers)}; {limits}."
