"""The first page: many runs at a glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from manifests import State
from tasks.report import wording
from tasks.report.charts import Chart, Series, series_colours, stacked_columns
from tasks.report.dashboard.forecast import WINDOW_DAYS, forecasts
from tasks.report.dashboard.ledger_facts import SpendFacts
from tasks.report.dashboard.library import Snapshot
from tasks.report.dashboard.overview import Overview, RunLine, Scope, overview, spend_by_day
from tasks.report.dashboard.site import Site, link
from tasks.report.facts import FailureFacts

PERIODS: Final = (
    ("", "all time"),
    ("1", "last day"),
    ("7", "last 7 days"),
    ("30", "last 30 days"),
    ("90", "last 90 days"),
)
_RUNS_LISTED: Final = 30
_RUNS_CHARTED: Final = 60
_DAYS_CHARTED: Final = 92  # more are charted as weeks


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRun:
    """A run in the table."""

    run: RunLine
    key: str
    catalog: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogLine:
    """What a catalog came to."""

    name: str
    runs: int
    items: int
    delivered: int
    cost_usd: Decimal


def overview_context(site: Site, catalog: str, days: str) -> dict[str, Any]:
    """Everything that the template shows."""
    snapshot, now = site.library.snapshot(), site.now()
    days = days if days in dict(PERIODS) else ""
    since = (now - timedelta(days=int(days))).replace(minute=0, second=0, microsecond=0) if days else None
    scope = Scope(files=snapshot.files(catalog=catalog), since=since)
    found = snapshot.answers.get(("overview", scope), lambda: overview(snapshot.database, scope))
    context = {
        "catalog": catalog,
        "catalogs": snapshot.catalogs,
        "days": days,
        "periods": PERIODS,
        "unreadable": [(snapshot.by_file[uri].key, why) for uri, why in snapshot.database.unreadable.items()],
        "live": site.live.of(snapshot.runs),
        "now": now,
        "runs": [_listed(snapshot, run) for run in found.runs[:_RUNS_LISTED]],
    }
    return context | _numbers(site, snapshot, found, catalog, since, now) if found.runs else context


def _numbers(
    site: Site, snapshot: Snapshot, found: Overview, catalog: str, since: datetime | None, now: datetime
) -> dict[str, Any]:
    booked = site.ledger.spend()
    spend = _booked_in(booked, found, since) if booked else {key: usd for key, (_, usd) in found.spend.items() if usd}
    colours = series_colours([one.provider for one in found.providers] + [name for _, name in spend])
    items = sum(run.items for run in found.runs)
    spend_chart, spend_note = _spend(spend, colours)
    return {
        "figures": _figures(found, items),
        "items": items,
        "runs_chart": _runs_chart(found.runs),
        "runs_note": f"The last {_RUNS_CHARTED} of {len(found.runs):,} runs."
        if len(found.runs) > _RUNS_CHARTED
        else "By state, oldest on the left.",
        "runs_listed_note": f"The newest {_RUNS_LISTED} of {len(found.runs):,}."
        if len(found.runs) > _RUNS_LISTED
        else "Newest first.",
        "spend_chart": spend_chart,
        "spend_note": spend_note,
        "spend_source": "who charged it, by the ledger"
        if booked
        else "who delivered; what others charged for the same row counts there too",
        "score_chart": _score_chart(found.scores),
        "review_link": link("/review", catalog=catalog),
        "review_word": "Review them" if site.door.review else "Look at them",
        "failures": found.failures,
        "failure_link": lambda failure: _failure_link(failure, catalog),
        "providers": found.providers,
        "colours": colours,
        "credits": forecasts(site.ledger.balances(), _by_day(booked) if booked else _all_spend(snapshot), now),
        "window_days": WINDOW_DAYS,
        "spend_by_catalog": _by_catalog(snapshot, found.runs),
        "tick": wording.count,
        "dollars": lambda value: wording.money(Decimal(str(value))),
    }


def _listed(snapshot: Snapshot, run: RunLine) -> ListedRun:
    folder = snapshot.by_file[run.file]
    return ListedRun(run=run, key=folder.key, catalog=folder.catalog)


def _booked_in(
    booked: Sequence[SpendFacts], found: Overview, since: datetime | None
) -> dict[tuple[date, str], Decimal]:
    """What the ledger booked for the runs in view."""
    runs = {run.run_id for run in found.runs}
    spend: dict[tuple[date, str], Decimal] = {}
    for line in booked:
        if line.run_id in runs and line.usd and (since is None or line.day >= since.date()):
            spend[line.day, line.provider] = spend.get((line.day, line.provider), Decimal(0)) + line.usd
    return spend


def _by_day(booked: Sequence[SpendFacts]) -> dict[tuple[date, str], tuple[Decimal, Decimal]]:
    spend: dict[tuple[date, str], tuple[Decimal, Decimal]] = {}
    for line in booked:
        credits_, usd = spend.get((line.day, line.provider), (Decimal(0), Decimal(0)))
        spend[line.day, line.provider] = (credits_ + line.credits, usd + line.usd)
    return spend


def _all_spend(snapshot: Snapshot) -> Mapping[tuple[date, str], tuple[Decimal, Decimal]]:
    """Accounts are drained by every catalog, whatever this page is narrowed to."""
    found: Mapping[tuple[date, str], tuple[Decimal, Decimal]]
    found = snapshot.answers.get("spend", lambda: spend_by_day(snapshot.database, Scope()))
    return found


def _figures(found: Overview, items: int) -> list[tuple[str, str, str]]:
    delivered = sum(run.delivered for run in found.runs)
    reused = sum(run.reused for run in found.runs)
    spent = sum((run.cost_usd for run in found.runs), Decimal(0))
    paid = delivered - reused
    return [
        ("Runs", wording.count(len(found.runs)), f"last {wording.moment(found.runs[0].started_at)}"),
        ("Items", wording.count(items), f"{reused:,} reused"),
        ("Delivered", wording.share(delivered, items), f"{items - delivered:,} were not"),
        ("Spent", wording.money(spent), f"{wording.unit_price(spent / paid)} per delivery" if paid and spent else ""),
    ]


def _runs_chart(runs: Sequence[RunLine]) -> Chart:
    shown = list(reversed(runs[:_RUNS_CHARTED]))
    series = [
        Series(
            label=state.value.replace("_", " "),
            colour=f"f-{state.value}",
            values=tuple(run.states[state] for run in shown),
        )
        for state in State
    ]
    ends = (shown[0], shown[-1]) if len(shown) > 1 else (shown[0],)
    return stacked_columns(series, [run.run_id for run in shown], [_day(run.started_at) for run in ends])


def _day(time: datetime | None) -> str:
    return wording.day(time) if time else "–"


def _spend(spend: Mapping[tuple[date, str], Decimal], colours: Mapping[str, str]) -> tuple[Chart | None, str]:
    """A column a day, or a week when there are many."""
    if not spend:
        return None, ""
    first, last = min(day for day, _ in spend), max(day for day, _ in spend)
    step = 1 if (last - first).days < _DAYS_CHARTED else 7
    columns = (last - first).days // step + 1
    values: dict[str, list[float]] = {}
    for (day, provider), usd in spend.items():
        values.setdefault(provider, [0.0] * columns)[(day - first).days // step] += float(usd)
    series = [
        Series(label=name or "no provider", colour=colours[name], values=tuple(values[name])) for name in sorted(values)
    ]
    starts = [first + timedelta(days=step * index) for index in range(columns)]
    labels = [wording.day(first), wording.day(last)] if columns > 1 else [wording.day(first)]
    chart = stacked_columns(
        series, [wording.day(start) for start in starts], labels, style=lambda usd: wording.money(Decimal(str(usd)))
    )
    return chart, "a day" if step == 1 else "a week"


def _score_chart(scores: Sequence[int]) -> Chart | None:
    if not any(scores):
        return None
    titles = [f"Score {10 * step} to {10 * step + (9 if step < 9 else 10)}" for step in range(len(scores))]
    return stacked_columns([Series(label="pictures", colour="c0", values=tuple(scores))], titles, ("0", "50", "100"))


def _failure_link(failure: FailureFacts, catalog: str) -> str:
    cause = "" if failure.cause == failure.state.value and failure.cause != "in_doubt" else failure.cause
    return link("/rows", state=failure.state.value, cause=cause, catalog=catalog)


def _by_catalog(snapshot: Snapshot, runs: Sequence[RunLine]) -> list[CatalogLine]:
    grouped: dict[str, list[RunLine]] = {}
    for run in runs:
        grouped.setdefault(snapshot.by_file[run.file].catalog, []).append(run)
    lines = [
        CatalogLine(
            name=name,
            runs=len(of),
            items=sum(run.items for run in of),
            delivered=sum(run.delivered for run in of),
            cost_usd=sum((run.cost_usd for run in of), Decimal(0)),
        )
        for name, of in grouped.items()
    ]
    return sorted(lines, key=lambda line: (-line.cost_usd, line.name))
