"""`report.html`: everything about one run in one file that needs nothing else."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from manifests.storage import publish_bytes
from tasks.report.charts import series_colours
from tasks.report.database import Database
from tasks.report.facts import PlanFacts, RunFacts, Savings, run_facts
from tasks.report.gallery import Pair, worst_pairs
from tasks.report.pictures import PictureLimits
from tasks.report.places import FoundRun, ResultsNotFoundError, ResultsUnreadableError, find_runs
from tasks.report.rendering import asset, environment
from tasks.report.report_context import context, gallery_note
from tasks.report.summaries import asked, planned, recorded_savings
from tasks.report.wording import count

_FAILURES_SHOWN: Final = 40  # there are about as many causes; more would be a defect, not a table


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportLimits:
    """How large a report may get and how long it may take."""

    pairs: int = 24  # before/after pairs in the gallery
    pictures_bytes: int = 4_000_000  # of all thumbnails together, as embedded
    pictures_deadline_s: float = 60  # after this, unread pictures are shown as missing
    picture: PictureLimits = field(default_factory=PictureLimits)


def write_report(
    run_folder_uri: str,
    *,
    limits: ReportLimits | None = None,
    plan: PlanFacts | None = None,
    savings: Savings | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> str:
    """Write report.html into a run folder (local, s3:// or any fsspec URL) and return its URI.

    Counts come from results.parquet; what was asked, the plan and the savings from summary.json unless given.

    Raises:
        ResultsNotFoundError: there is no results manifest there, or there are several.
        ResultsUnreadableError: it is damaged.
    """
    run = _one_run(run_folder_uri)
    facts, pairs = _facts_and_pairs(run, limits or ReportLimits())
    html = render_report(
        facts,
        pairs,
        asked=asked(run.config),
        plan=plan or planned(run.summary),
        savings=savings or recorded_savings(run.summary) or facts.savings,
        made_at=now(),
    )
    publish_bytes(f"{run.uri}/report.html", html.encode())
    return f"{run.uri}/report.html"


def render_report(
    facts: RunFacts,
    pairs: Sequence[Pair],
    *,
    asked: Sequence[tuple[str, str]] = (),
    plan: PlanFacts | None = None,
    savings: Savings | None = None,
    made_at: datetime,
) -> str:
    """The page itself. Its policy allows exactly its own style sheet and script, and no network."""
    css, script = asset("cleanplate.css"), asset("compare.js")
    names = [one.provider for one in facts.providers]
    names += [name for bucket in facts.timeline.buckets for name in bucket.delivered]
    shown: dict[str, Any] = context(facts, savings=savings or facts.savings, plan=plan, colours=series_colours(names))
    return (
        environment()
        .get_template("report.html")
        .render(
            **shown,
            pairs=pairs,
            gallery_note=gallery_note(len(pairs), facts.delivered),
            failures=facts.failures[:_FAILURES_SHOWN],
            asked=asked or [("Manifest", "not recorded")],
            policy=f"default-src 'none'; img-src data:; style-src {_digest(css)}; script-src {_digest(script)}; base-uri 'none'; form-action 'none'",
            css=Markup(css),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            tick=count,
            failure_link=None,
            made_at=made_at,
        )
    )


def _one_run(uri: str) -> FoundRun:
    runs = [run for run in find_runs(uri) if run.finished]
    if len(runs) != 1:
        found = f"{len(runs)} runs, such as {runs[0].uri}" if runs else "no results.parquet: the run has not finished"
        raise ResultsNotFoundError(f"a report is of one run, but {uri} holds {found}")
    return runs[0]


def _facts_and_pairs(run: FoundRun, limits: ReportLimits) -> tuple[RunFacts, list[Pair]]:
    database = Database([run])
    try:
        if database.unreadable:
            raise ResultsUnreadableError(f"{run.results_uri}: {database.unreadable[run.results_uri]}")
        pairs = worst_pairs(
            database,
            run.results_uri,
            count=limits.pairs,
            max_bytes=limits.pictures_bytes,
            limits=limits.picture,
            deadline_s=limits.pictures_deadline_s,
        )
        return run_facts(database, run.results_uri), pairs
    finally:
        database.close()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
