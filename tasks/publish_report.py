"""Prefect task: the report page in the run folder, and the same facts as artifacts in Prefect."""

import re

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from manifests.error_codes import ErrorCode
from manifests.summary import RunSummary
from tasks.editing.planned_run import PlannedRun
from tasks.editing.runtimes import runtime_of
from tasks.observability.events import budget_reached, run_finished
from tasks.publish_events import publish_event
from tasks.report.markdown import failure_rows, summary_markdown
from tasks.report.page import write_report
from tasks.report.sentences import sentence


@task(name="publish-report", task_run_name="write the report", cache_policy=NO_CACHE)
def publish_report(plan: PlannedRun, summary: RunSummary) -> str:
    """Write report.html and tell Prefect where it is. A report that cannot be made is logged: the results stand without it."""
    logger = get_run_logger()
    logger.info(sentence(summary))
    try:
        uri = write_report(plan.folder_uri)
    except Exception:
        logger.exception("the report could not be written; `cleanplate report %s` tries again", plan.folder_uri)
        uri = ""
    key = artifact_key(plan.config.manifest)
    page = summary_markdown(summary, report_uri=uri, images_uri=plan.folder.images_uri)
    create_markdown_artifact(key=f"{key}-summary", markdown=page, description=sentence(summary))
    failures = failure_rows(summary)
    create_table_artifact(key=f"{key}-failures", table=failures, description="Not delivered, by cause")
    tell_people(plan, summary, uri)
    if "://" in uri:
        create_link_artifact(key=f"{key}-report", link=uri, description=f"Report of run {plan.run_id}")
    return uri


def publish_decisions(plan: PlannedRun) -> None:
    """A table of who was given how many rows, and why: what this process routed."""
    if plan.config.providers == ("local",):
        return
    create_table_artifact(
        key=f"{artifact_key(plan.config.manifest)}-routing",
        table=runtime_of(plan).decisions.rows(),
        description=f"Routing decisions of run {plan.run_id}",
    )


def tell_people(plan: PlannedRun, summary: RunSummary, report: str) -> None:
    """The events of a run's end, for automations."""
    costs, states = summary.totals.cost_usd, summary.by_state
    publish_event(run_finished(plan.run_id, states=states, cost_usd=costs, run_folder=plan.folder_uri, report=report))
    stopped = summary.by_error_code.get(ErrorCode.BUDGET_REACHED, 0)
    if stopped and plan.config.budget_usd is not None:
        publish_event(
            budget_reached(plan.run_id, budget_usd=plan.config.budget_usd, spent_usd=costs, rows_deferred=stopped)
        )


def artifact_key(manifest: str) -> str:
    """One key a catalog, so that its history can be followed over nights: lower case letters, digits and dashes."""
    stem = manifest.rstrip("/").rpartition("/")[2].partition(".")[0]
    return "cleanplate-" + (re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "catalog")
