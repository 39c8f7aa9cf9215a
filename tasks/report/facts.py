"""What happened in a run, as facts: counted by DuckDB from the results manifest, never kept row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from manifests import ErrorCode, State
from tasks.report.database import FILE, Database

_BUCKETS: Final = 60  # columns that a phone can still tell apart
_BUCKET_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanFacts:
    """What `cleanplate plan` had promised."""

    cost_usd: Decimal | None = None
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Savings:
    """What was not spent. None: cannot be told."""

    reuse_usd: Decimal | None = None  # delivered again, unpaid
    preflight_usd: Decimal | None = None  # rejected before anything was sent
    batch_requests: int | None = None  # requests not made, because batch calls carried several items
    estimated: bool = False  # True: counted at this run's average price, not recorded by the run


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderFacts:
    """How one provider did in a run; reused rows are not its work."""

    provider: str
    items: int
    delivered: int
    requests: int
    p50_ms: int | None
    p95_ms: int | None
    credits: Decimal
    cost_usd: Decimal
    mean_outside_max_delta: float | None  # 0 to 255
    mean_inside_change: float | None  # 0 to 255

    @property
    def delivered_share(self) -> float:
        """0 to 1."""
        return self.delivered / self.items

    @property
    def cost_per_delivered_usd(self) -> Decimal | None:
        """None when nothing was delivered."""
        return self.cost_usd / self.delivered if self.delivered else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureFacts:
    """One cause for which items were not delivered."""

    state: State
    cause: str
    items: int
    cost_usd: Decimal
    providers: tuple[str, ...]
    example_item_id: str
    example_message: str | None

    @property
    def advice(self) -> str:
        """What to do about it; empty for a code that this version does not know."""
        return next((code.advice for code in ErrorCode if code.value == self.cause), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """What finished in one slice of time."""

    start: datetime
    delivered: Mapping[str, int]  # provider → items
    others: int  # finished without a delivery


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """A run cut into equal slices."""

    bucket_s: int
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """One run in numbers."""

    run_id: str
    items: int
    states: Mapping[State, int]
    reused: int
    requests: int
    credits: Decimal
    cost_usd: Decimal
    started_at: datetime | None
    finished_at: datetime | None
    providers: tuple[ProviderFacts, ...]
    failures: tuple[FailureFacts, ...]
    timeline: Timeline
    savings: Savings

    @property
    def delivered(self) -> int:
        """Items with a picture."""
        return self.states[State.SUCCEEDED]

    @property
    def duration_s(self) -> float | None:
        """From the first touch of a row to the last final fact, seconds."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


def run_facts(database: Database, file: str) -> RunFacts:
    """Count one run by its results manifest, as `FoundRun.results_uri` names it."""
    totals, condition = _totals(database, file), f"{FILE} = ?"
    return RunFacts(
        run_id=totals["run_id"],
        items=sum(totals["states"].values()),
        states=totals["states"],
        reused=totals["reused"],
        requests=totals["requests"],
        credits=totals["credits"],
        cost_usd=totals["cost_usd"],
        started_at=totals["started_at"],
        finished_at=totals["finished_at"],
        providers=providers_in(database, condition, [file]),
        failures=failures_in(database, condition, [file]),
        timeline=timeline(database, file, totals["started_at"], totals["finished_at"]),
        savings=_estimated_savings(database, file),
    )


def _totals(database: Database, file: str) -> dict[str, Any]:
    rows = database.query(
        f"""SELECT state, any_value(run_id) AS run_id, count(*) AS items, count(*) FILTER (WHERE reused) AS reused, sum(attempts)::BIGINT AS requests,
                  sum(credits) AS credits, sum(cost_usd) AS cost_usd,
                  min(started_at) AS started_at, max(finished_at) AS finished_at
           FROM results WHERE {FILE} = ? GROUP BY state""",  # noqa: S608 - our own name
        [file],
    )
    counted = {row["state"]: row["items"] for row in rows}
    started = [row["started_at"] for row in rows if row["started_at"]]
    finished = [row["finished_at"] for row in rows if row["finished_at"]]
    return {
        "run_id": next((row["run_id"] for row in rows), ""),
        "states": {state: counted.get(state.value, 0) for state in State},
        "reused": sum(row["reused"] or 0 for row in rows),
        "requests": sum(row["requests"] or 0 for row in rows),
        "credits": sum((row["credits"] or Decimal(0) for row in rows), Decimal(0)),
        "cost_usd": sum((row["cost_usd"] or Decimal(0) for row in rows), Decimal(0)),
        "started_at": min(started, default=None),
        "finished_at": max(finished, default=None),
    }


def providers_in(database: Database, condition: str, values: Sequence[object]) -> tuple[ProviderFacts, ...]:
    """Each provider's work among the rows that meet a SQL condition over `results`, the busiest first."""
    rows = database.query(
        f"""SELECT provider, count(*) AS items, count(*) FILTER (WHERE state = 'succeeded') AS delivered,
                   sum(attempts)::BIGINT AS requests,
                   (quantile_cont(duration_ms, 0.5) FILTER (WHERE state = 'succeeded'))::BIGINT AS p50_ms,
                   (quantile_cont(duration_ms, 0.95) FILTER (WHERE state = 'succeeded'))::BIGINT AS p95_ms,
                   sum(credits) AS credits, sum(cost_usd) AS cost_usd,
                   avg(quality_outside_max_delta) AS mean_outside_max_delta,
                   avg(quality_inside_change) AS mean_inside_change
            FROM results WHERE {condition} AND provider IS NOT NULL AND NOT reused
            GROUP BY provider ORDER BY items DESC, provider""",  # noqa: S608 - the condition is our own; values are bound
        values,
    )
    return tuple(ProviderFacts(**row) for row in rows)


def failures_in(database: Database, condition: str, values: Sequence[object]) -> tuple[FailureFacts, ...]:
    """What was not delivered among the rows that meet a SQL condition over `results`, by cause, the most frequent first."""
    rows = database.query(
        f"""SELECT state, cause, sum(items)::BIGINT AS items, sum(cost_usd) AS cost_usd,
                   list(provider ORDER BY items DESC, provider) FILTER (WHERE provider <> '') AS providers,
                   min(example_item_id) AS example_item_id,
                   arg_min(example_message, example_item_id) AS example_message
            FROM (SELECT state, coalesce(error_code, state) AS cause, coalesce(provider, '') AS provider, count(*) AS items,
                         sum(cost_usd) AS cost_usd, min(item_id) AS example_item_id,
                         arg_min(error_message, item_id) AS example_message
                  FROM results WHERE {condition} AND state <> 'succeeded' GROUP BY ALL)
            GROUP BY state, cause ORDER BY items DESC, cause, state""",  # noqa: S608 - as above
        values,
    )
    return tuple(
        FailureFacts(**row | {"state": State(row["state"]), "providers": tuple(row["providers"] or ())}) for row in rows
    )


def timeline(database: Database, file: str, start: datetime | None, end: datetime | None) -> Timeline:
    """At most about 60 slices of the run, empty ones included."""
    if start is None or end is None:
        return Timeline(bucket_s=1, buckets=())
    span_s = max((end - start).total_seconds(), 1)
    bucket_s = next((step for step in _BUCKET_STEPS_S if span_s / step <= _BUCKETS), int(span_s // _BUCKETS) + 1)
    rows = database.query(
        f"""SELECT floor(epoch(finished_at - ?::TIMESTAMPTZ) / ?)::BIGINT AS slot,
                  CASE WHEN state = 'succeeded' THEN coalesce(provider, '') END AS provider, count(*) AS items
           FROM results WHERE {FILE} = ? AND finished_at IS NOT NULL GROUP BY ALL""",  # noqa: S608 - our own name
        [start, bucket_s, file],
    )
    slots = [
        Bucket(start=start + timedelta(seconds=i * bucket_s), delivered={}, others=0)
        for i in range(int(span_s // bucket_s) + 1)
    ]
    delivered: list[dict[str, int]] = [{} for _ in slots]
    others = [0] * len(slots)
    for row in rows:
        slot = min(max(row["slot"], 0), len(slots) - 1)
        if row["provider"] is None:
            others[slot] += row["items"]
        else:
            delivered[slot][row["provider"]] = row["items"]
    buckets = (Bucket(start=b.start, delivered=d, others=o) for b, d, o in zip(slots, delivered, others, strict=True))
    return Timeline(bucket_s=bucket_s, buckets=tuple(buckets))


def _estimated_savings(database: Database, file: str) -> Savings:
    """Reused and rejected rows at the average price that this run paid for the same operation."""
    (row,) = database.query(
        f"""SELECT (sum(usd * reused) FILTER (WHERE reused > 0))::DECIMAL(18, 6) AS reuse_usd,
                  (sum(usd * refused) FILTER (WHERE refused > 0))::DECIMAL(18, 6) AS preflight_usd
           FROM (SELECT avg(cost_usd) FILTER (WHERE state = 'succeeded' AND NOT reused) AS usd,
                        count(*) FILTER (WHERE reused) AS reused,
                        count(*) FILTER (WHERE state = 'rejected' AND attempts = 0) AS refused
                 FROM results WHERE {FILE} = ? GROUP BY coalesce(operation, 'object-removal'))""",  # noqa: S608 - our own name
        [file],
    )
    return Savings(reuse_usd=row["reuse_usd"], preflight_usd=row["preflight_usd"], estimated=True)
