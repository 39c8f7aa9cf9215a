"""Prefect task: join the parts into the results manifest."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from manifests.summary import Expected, RunSummary
from tasks.editing.planned_run import PlannedRun
from tasks.editing.results import join_results


@task(name="write-results", task_run_name="write results", cache_policy=NO_CACHE)
def write_results(plan: PlannedRun, expected: Expected | None = None) -> RunSummary:
    """One outcome for every row, in manifest order; rows that no batch came to are deferred."""
    return join_results(plan, expected)
