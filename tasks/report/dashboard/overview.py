"""Numbers over many runs: what ran, what it cost, what went wrong, how good it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from manifests import State
from tasks.report.database import FILE, Database
from tasks.report.facts import FailureFacts, ProviderFacts, failures_in, providers_in

SCORE_STEP: Final = 10  # width of a histogram column, points of review_score


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What is counted: None does not restrict."""

    files: tuple[str, ...] | None = None
    since: datetime | None = None  # UTC

    def where(self) -> tuple[str, list[object]]:
        """A SQL condition over columns of `results`, with its values."""
        parts, values = ["true"], list[object]()
        if self.files is not None:
            parts.append(f"{FILE} IN (SELECT unnest(?::VARCHAR[]))")
            values.append(list(self.files))
        if self.since is not None:
            parts.append("finished_at >= ?")
            values.append(self.since)
        return " AND ".join(parts), values


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """One run in a list."""

    file: str
    run_id: str
    items: int
    states: Mapping[State, int]
    reused: int
    cost_usd: Decimal
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def delivered(self) -> int:
        """Items with a picture."""
        return self.states[State.SUCCEEDED]

    @property
    def duration_s(self) -> float | None:
        """Seconds from first touch to last fact."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """Everything on the first page that comes from results."""

    runs: Sequence[RunLine]  # newest first
    spend: Mapping[tuple[date, str], tuple[Decimal, Decimal]]  # (day, provider) → (credits, US dollars)
    failures: Sequence[FailureFacts]
    providers: Sequence[ProviderFacts]
    scores: Sequence[int]  # delivered pictures by review score, in steps of ten, the most doubtful first


def overview(database: Database, scope: Scope) -> Overview:
    """Count what is in scope."""
    condition, values = scope.where()
    return Overview(
        runs=run_lines(database, scope),
        spend=spend_by_day(database, scope),
        failures=failures_in(database, condition, values),
        providers=providers_in(database, condition, values),
        scores=score_histogram(database, scope),
    )


def run_lines(database: Database, scope: Scope) -> list[RunLine]:
    """Each run, newest first."""
    condition, values = scope.where()
    rows = database.query(
        f"""SELECT {FILE} AS file, run_id, map_from_entries(list((state, items))) AS states, sum(items)::BIGINT AS items,
                   sum(reused)::BIGINT AS reused, sum(cost_usd) AS cost_usd,
                   min(started_at) AS started_at, max(finished_at) AS finished_at
            FROM (SELECT {FILE}, run_id, state, count(*) AS items, count(*) FILTER (WHERE reused) AS reused, sum(cost_usd) AS cost_usd,
                         min(started_at) AS started_at, max(finished_at) AS finished_at
                  FROM results WHERE {condition} GROUP BY ALL)
            GROUP BY {FILE}, run_id ORDER BY started_at DESC NULLS LAST, run_id DESC""",  # noqa: S608 - our own words; values are bound
        values,
    )
    return [_run_line(row) for row in rows]


def _run_line(row: dict[str, Any]) -> RunLine:
    counted = dict(row["states"])
    states = {state: int(counted.get(state.value, 0)) for state in State}
    return RunLine(**row | {"states": states, "cost_usd": row["cost_usd"] or Decimal(0)})


def spend_by_day(database: Database, scope: Scope) -> dict[tuple[date, str], tuple[Decimal, Decimal]]:
    """(day in UTC, provider) → (credits, US dollars), free work left out."""
    condition, values = scope.where()
    rows = database.query(
        f"""SELECT CAST(finished_at AT TIME ZONE 'UTC' AS DATE) AS day, coalesce(provider, '') AS provider,
                   sum(credits) AS credits, sum(cost_usd) AS cost_usd
            FROM results WHERE {condition} AND finished_at IS NOT NULL GROUP BY ALL
            HAVING sum(cost_usd) > 0 OR sum(credits) > 0 ORDER BY day, provider""",  # noqa: S608 - as above
        values,
    )
    return {(row["day"], row["provider"]): (row["credits"], row["cost_usd"]) for row in rows}


def score_histogram(database: Database, scope: Scope) -> list[int]:
    """Delivered pictures by review score: ten columns, 0 to 9 first, 90 to 100 last."""
    condition, values = scope.where()
    rows = database.query(
        f"""SELECT least(review_score // {SCORE_STEP}, 9) AS step, count(*) AS items
            FROM review_queue WHERE {condition} GROUP BY ALL""",  # noqa: S608 - as above
        values,
    )
    found = {int(row["step"]): int(row["items"]) for row in rows}
    return [found.get(step, 0) for step in range(10)]
