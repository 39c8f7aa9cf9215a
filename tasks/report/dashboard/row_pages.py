"""The pages below the overview: one run, the table of rows, one row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import HTMLResponse

from tasks.report.charts import series_colours
from tasks.report.dashboard import story
from tasks.report.dashboard.decisions import Decision
from tasks.report.dashboard.library import Snapshot
from tasks.report.dashboard.rows import SORTS, PageRequest, RowFilter, choices, count_rows, page_of_rows
from tasks.report.dashboard.site import Site, link, picture_urls
from tasks.report.database import FILE, ROW
from tasks.report.facts import run_facts
from tasks.report.report_context import context
from tasks.report.summaries import asked, planned, recorded_savings
from tasks.report.wording import count


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsAsked:
    """The address of a table page, read."""

    wanted: RowFilter
    page: PageRequest
    run: str = ""
    catalog: str = ""

    def href(self, **changed: object) -> str:
        """The same table with something else changed."""
        w = self.wanted
        now = {
            "run": self.run,
            "catalog": self.catalog,
            "state": w.state,
            "cause": w.cause,
            "provider": w.provider,
            "operation": w.operation,
            "text": w.text,
            "sort": "" if self.page.sort == "newest" else self.page.sort,
        }
        return link("/rows", **now | changed)


def run_page(site: Site, key: str) -> HTMLResponse:
    """What the report says, of a run in the library."""
    snapshot = site.library.snapshot()
    run = snapshot.by_key.get(key)
    if run is None:
        return site.problem(404, "No such run", "It may have been moved or deleted since this page was made.")
    if not run.finished:
        return site.problem(
            200, "Still running", "Results are shown when the run has written them; the overview shows its progress."
        )
    facts = snapshot.answers.get(("facts", key), lambda: run_facts(snapshot.database, run.results_uri))
    colours = series_colours(
        [one.provider for one in facts.providers] + [name for b in facts.timeline.buckets for name in b.delivered]
    )
    savings = recorded_savings(run.summary) or facts.savings
    return site.page(
        "run.html",
        "/",
        **context(facts, savings=savings, plan=planned(run.summary), colours=colours),
        failures=facts.failures,
        asked=asked(run.config) or [("Manifest", "not recorded")],
        failure_link=lambda failure: link(
            "/rows",
            run=key,
            state=failure.state.value,
            cause=failure.cause if failure.cause != failure.state.value else "",
        ),
        tick=count,
        key=key,
        catalog=run.catalog,
        review_link=link("/review", run=key) if facts.delivered else "",
        review_word="Review the pictures" if site.door.review else "Look at the pictures",
    )


def rows_page(site: Site, asked_for: RowsAsked) -> HTMLResponse:
    """A page of the table.

    Raises:
        BadMarkError: sort or page mark is none of ours.
    """
    snapshot, wanted = site.library.snapshot(), asked_for.wanted
    found = page_of_rows(snapshot.database, wanted, asked_for.page)
    snapshot.seen([dict(row) for row in found.rows])
    decided = {(run.results_uri, one.item_id): one for run, one in site.store.of_runs(snapshot.runs)}
    return site.page(
        "rows.html",
        "/rows",
        wanted=wanted,
        page=asked_for.page,
        run_key=asked_for.run,
        catalog=asked_for.catalog,
        runs=[run for run in reversed(snapshot.runs) if run.finished],
        choices=snapshot.answers.get("choices", lambda: choices(snapshot.database)),
        sorts=SORTS,
        filtered=wanted != RowFilter() or bool(asked_for.run),
        total=snapshot.answers.get(("count", wanted), lambda: count_rows(snapshot.database, wanted)),
        rows=[_listed(snapshot, row, decided) for row in found.rows],
        before=asked_for.href(mark=found.before, back=1) if found.before else "",
        after=asked_for.href(mark=found.after) if found.after else "",
    )


def _listed(snapshot: Snapshot, row: Mapping[str, Any], decided: Mapping[tuple[str, str], Decision]) -> dict[str, Any]:
    key = snapshot.by_file[row[FILE]].key
    kind = "after" if row["output_uri"] else "before"
    return dict(row) | {
        "href": link("/row", run=key, n=row[ROW]),
        "thumb": picture_urls(key, row, row[ROW], "small")[kind] if row["image_uri"] else "",
        "decision": decided.get((row[FILE], row["item_id"])),
    }


def row_page(site: Site, key: str, number: int) -> HTMLResponse:
    """Everything about one row."""
    snapshot = site.library.snapshot()
    run = snapshot.by_key.get(key)
    row = story.whole_row(snapshot.database, run.results_uri, number) if run else None
    if run is None or row is None:
        return site.problem(
            404, "No such row", "The results may have been written anew: look for the item in the table of rows."
        )
    snapshot.seen([row])
    attempts = site.ledger.attempts(row["run_id"], row["item_id"] or "", row["content_key"])
    facts_asked, outcome, own = story.columns(row, snapshot.database.extra_columns)
    earlier = [
        one | {"href": link("/row", run=snapshot.by_file[one[FILE]].key, n=one[ROW])}
        for one in story.history(snapshot.database, row["item_id"])
    ]
    return site.page(
        "row.html",
        "/rows",
        **shown_pictures(site, key, row, number),
        advice=story.advice(row),
        events=story.events(row, attempts),
        attempts_known=bool(attempts) or not row["attempts"],
        metrics=story.metrics(row),
        asked=facts_asked,
        outcome=outcome,
        own=own,
        history=earlier,
        **deciding(site, key, row, number, onward={"page": "row"}),
    )


def shown_pictures(site: Site, key: str, row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A row with its before and after, or the reasons why they are missing."""
    before, after = site.media.pool.map(lambda kind: site.media.picture(row, kind, "large"), ("before", "after"))
    return {
        "row": row,
        "before": before,
        "after": after,
        "outline": site.media.outline(row) if before.data else None,
        "urls": picture_urls(key, row, number, "large"),
    }


def deciding(site: Site, key: str, row: Mapping[str, Any], number: int, *, onward: Mapping[str, str]) -> dict[str, Any]:
    """What the form of a decision needs; `onward`: where to go afterwards."""
    decision = site.store.of_run(site.library.snapshot().by_key[key]).get(row["item_id"])
    others = [name for name in site.redo_providers if name != row["provider"]]
    return {
        "key": key,
        "number": number,
        "decision": decision,
        "can_review": site.door.review and row["state"] == "succeeded",
        "redo_providers": others,
        "redo_default": decision.redo_provider if decision and decision.redo_provider else "",
        "onward": onward,
    }
