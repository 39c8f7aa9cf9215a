"""What a run came to: computed from its results manifest, never counted on the side."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from manifests.error_codes import ErrorCode
from manifests.errors import RunFolderError
from manifests.layout import open_parquet
from manifests.outcomes import State
from manifests.results import align
from manifests.run_folder import RunFolder
from manifests.schemas import OUTCOME_SCHEMA
from manifests.storage import locate, publish_bytes, shown

_BY = ("state", "error_code", "provider", "reused")
_SUMS = ("attempts", "credits", "cost_usd")
_READ = (*_BY, *_SUMS, "started_at", "finished_at")
_SCHEMA = pa.schema([OUTCOME_SCHEMA.field(name) for name in _READ])
_STOPPED_BY_MONEY = (ErrorCode.BUDGET_REACHED, ErrorCode.OUT_OF_CREDITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Of all rows, or of those of one provider."""

    rows: int = 0
    succeeded: int = 0
    attempts: int = 0
    credits: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)

    def __add__(self, other: "Totals") -> "Totals":
        """Sums, field by field."""
        return Totals(
            rows=self.rows + other.rows,
            succeeded=self.succeeded + other.succeeded,
            attempts=self.attempts + other.attempts,
            credits=self.credits + other.credits,
            cost_usd=self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the run's first plan said, before anything was sent."""

    cost_usd: Decimal
    duration_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """Counts, money and time of one run, as `summary.json` holds them."""

    run_id: str
    manifest: str
    results_uri: str
    totals: Totals = Totals()
    reused: int = 0  # rows delivered again, unpaid; among the succeeded
    by_state: dict[State, int] = field(default_factory=dict)
    by_error_code: dict[ErrorCode, int] = field(default_factory=dict)
    by_provider: dict[str, Totals] = field(default_factory=dict)
    started_at: datetime | None = None  # UTC, first touch of a row
    finished_at: datetime | None = None  # UTC, last final fact
    plan: Expected | None = None  # None: nothing was planned, as with a single provider

    @property
    def rows(self) -> int:
        """As many as the manifest has."""
        return self.totals.rows

    @property
    def duration_s(self) -> float | None:
        """Seconds between the two; None when no row was started."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def exit_code(self) -> int:
        """0 every row succeeded or was reused, 4 stopped by budget or credits, 3 finished with rows that did not succeed."""
        if self.totals.succeeded == self.totals.rows:
            return 0
        return 4 if any(self.by_error_code.get(code) for code in _STOPPED_BY_MONEY) else 3

    def to_json(self) -> str:
        """Money as strings, times in ISO 8601, UTC."""
        return json.dumps(asdict(self), indent=2, default=_as_text)

    @classmethod
    def from_json(cls, text: str | bytes) -> "RunSummary":
        """What `to_json` wrote. Fields of a later version are left out."""
        found = json.loads(text)
        names = {one.name for one in fields(cls)}
        known = {name: value for name, value in found.items() if name in names}
        known["totals"] = _totals(found["totals"])
        known["by_state"] = {State(name): count for name, count in found["by_state"].items()}
        known["by_error_code"] = {ErrorCode(name): count for name, count in found["by_error_code"].items()}
        known["by_provider"] = {name: _totals(value) for name, value in found["by_provider"].items()}
        for name in ("started_at", "finished_at"):
            known[name] = datetime.fromisoformat(found[name]) if found[name] else None
        if plan := found.get("plan"):
            known["plan"] = Expected(cost_usd=Decimal(plan["cost_usd"]), duration_s=plan["duration_s"])
        return cls(**known)


def summarise(folder: RunFolder, manifest: str) -> RunSummary:
    """Read the results of a run, a stretch at a time, and add them up.

    Raises:
        RunFolderError: there are no results, or they cannot be read.
    """
    summary = RunSummary(run_id=folder.run_id, manifest=shown(manifest), results_uri=shown(folder.results_uri))
    for group in _groups(folder):
        summary = _add(summary, group)
    return summary


def write_summary(folder: RunFolder, summary: RunSummary) -> None:
    """Keep the summary beside the results."""
    publish_bytes(folder.summary_uri, summary.to_json().encode(), folder.storage_options)


def read_summary(folder: RunFolder) -> RunSummary:
    """What `write_summary` kept. RunFolderError when the run has none."""
    fs, path = locate(folder.summary_uri, folder.storage_options)
    try:
        return RunSummary.from_json(fs.cat_file(path))
    except FileNotFoundError:
        raise RunFolderError(f"{shown(folder.uri)}: has no summary.json: the run has not ended") from None


def _groups(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """Rows alike in state, error, provider and reuse, added up: a few for each stretch of the file."""
    try:
        with open_parquet(folder.results_uri, folder.storage_options, for_rows=True) as file:
            columns = [name for name in _READ if name in file.schema_arrow.names]
            for batch in file.iter_batches(65_536, columns=columns, use_threads=False):
                rows = align(pa.Table.from_batches([batch]), _SCHEMA)
                wanted = [
                    *((name, "sum") for name in _SUMS),
                    ("state", "count"),
                    ("started_at", "min"),
                    ("finished_at", "max"),
                ]
                yield from rows.group_by(list(_BY)).aggregate(wanted).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RunFolderError(f"{shown(folder.results_uri)}: cannot be read: {error}") from error


def _add(summary: RunSummary, group: dict[str, Any]) -> RunSummary:
    count, succeeded = group["state_count"], group["state"] == State.SUCCEEDED
    sums = {name: group[f"{name}_sum"] for name in _SUMS}
    totals = Totals(rows=count, succeeded=count if succeeded else 0, **sums)
    of_provider = {} if group["provider"] is None else {group["provider"]: totals}
    return replace(
        summary,
        totals=summary.totals + totals,
        reused=summary.reused + (count if group["reused"] else 0),
        by_state=_joined(summary.by_state, {State(group["state"]): count}),
        by_error_code=_joined(
            summary.by_error_code, {ErrorCode(group["error_code"]): count} if group["error_code"] else {}
        ),
        by_provider=_joined(summary.by_provider, of_provider),
        started_at=min(filter(None, (summary.started_at, group["started_at_min"])), default=None),
        finished_at=max(filter(None, (summary.finished_at, group["finished_at_max"])), default=None),
    )


def _joined(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    return {**one, **{name: one[name] + value if name in one else value for name, value in other.items()}}


def _totals(values: dict[str, Any]) -> Totals:
    money = {name: Decimal(values[name]) for name in ("credits", "cost_usd")}
    return Totals(**{**values, **money})


def _as_text(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
