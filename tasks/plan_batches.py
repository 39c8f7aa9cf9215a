"""Prefect task: find out what a run has to do, and leave the run's own record in its folder."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.config import CleanupConfig
from tasks.editing.planned_run import PlannedRun
from tasks.editing.planning import plan_run
from tasks.secret_blocks import load_settings_with_blocks


@task(name="plan-batches", task_run_name="plan", cache_policy=NO_CACHE)
def plan_batches(config: CleanupConfig, *, retry: bool = False) -> PlannedRun:
    """Open the manifest, check what must be checked before anything is written, and say which batches there are."""
    return plan_run(config, load_settings_with_blocks(), retry=retry)
