"""A row's whole story: what was asked, what happened when, what it cost, how it was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from manifests import ErrorCode
from manifests.schemas import MANIFEST_SCHEMA, OUTCOME_SCHEMA
from tasks.report import wording
from tasks.report.dashboard.ledger_facts import AttemptFacts
from tasks.report.database import FILE, ROW, Database

_HISTORY_ROWS: Final = 50
_DESCRIPTIONS: Final = {
    field.name: field.metadata[b"description"].decode() for field in (*MANIFEST_SCHEMA, *OUTCOME_SCHEMA)
}
_TOLD_ELSEWHERE: Final = {"state", "item_id", "started_at", "finished_at", "repairs", "error_message"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to the row."""

    at: datetime | None  # UTC
    title: str
    detail: str = ""
    kind: str = ""  # a state's name, for its colour and shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One column of the row."""

    name: str
    value: str
    description: str = ""


def whole_row(database: Database, file: str, number: int) -> dict[str, Any] | None:
    """Every column of one row."""
    rows = database.query(f"SELECT * FROM results WHERE {FILE} = ? AND {ROW} = ?", [file, number])  # noqa: S608 - our own names
    return rows[0] if rows else None


def history(database: Database, item_id: str) -> list[dict[str, Any]]:
    """The same item in every run, newest first."""
    return database.query(
        f"""SELECT run_id, state, error_code, provider, cost_usd, finished_at, reused, {FILE}, {ROW} FROM results
            WHERE item_id = ? ORDER BY finished_at DESC NULLS LAST, {FILE} DESC, {ROW} LIMIT {_HISTORY_ROWS}""",  # noqa: S608 - our own names
        [item_id],
    )


def events(row: Mapping[str, Any], attempts: Sequence[AttemptFacts]) -> list[Event]:
    """From first touch to final fact, with every request that the ledger knows."""
    told = (
        [Event(at=row["started_at"], title="First touched", detail=f"batch {row['batch_id']}")]
        if row["started_at"]
        else []
    )
    told += [
        Event(at=row["started_at"], title="Repaired before sending", detail=name.replace("_", " "))
        for name in row["repairs"] or ()
    ]
    told += [_requested(attempt, number) for number, attempt in enumerate(attempts, 1)]
    told.append(_final(row))
    return sorted(told, key=lambda event: event.at.timestamp() if event.at else float("inf"))


def _requested(attempt: AttemptFacts, number: int) -> Event:
    charged = {
        "settled": _charge(attempt.credits, attempt.cost_usd),
        "released": "not charged",
        "in_doubt": "may have been charged",
    }
    parts = [
        charged.get(attempt.state, "under way"),
        f"after {wording.duration((attempt.finished_at - attempt.reserved_at).total_seconds())}"
        if attempt.finished_at
        else "",
        f"job {attempt.remote_id}" if attempt.remote_id else "",
        attempt.message or "",
    ]
    return Event(
        at=attempt.reserved_at,
        title=f"Request {number} at {attempt.provider}: {attempt.state.replace('_', ' ')}",
        detail=", ".join(part for part in parts if part),
        kind="in_doubt" if attempt.state == "in_doubt" else "",
    )


def _charge(credits_: Decimal | None, usd: Decimal | None) -> str:
    shown = [f"{wording.count(credits_)} credits" if credits_ else "", wording.unit_price(usd) if usd else ""]
    return "charged " + " and ".join(part for part in shown if part) if any(shown) else "not charged"


def _final(row: Mapping[str, Any]) -> Event:
    parts = [
        "delivered again, unpaid" if row["reused"] else "",
        f"by {row['provider']}" if row["provider"] else "",
        wording.plural(row["attempts"] or 0, "request") if row["attempts"] else "nothing was sent",
        _charge(row["credits"], row["cost_usd"]) if row["attempts"] else "",
        f"after {wording.milliseconds(row['duration_ms'])}" if row["duration_ms"] is not None else "",
    ]
    return Event(
        at=row["finished_at"],
        title=row["state"].replace("_", " ").capitalize(),
        detail=", ".join(part for part in parts if part),
        kind=row["state"],
    )


def advice(row: Mapping[str, Any]) -> str:
    """What to do about a row that was not delivered."""
    return next((code.advice for code in ErrorCode if code.value == row["error_code"]), "")


def metrics(row: Mapping[str, Any]) -> list[Fact]:
    """Everything that was measured."""
    names = [name for name in row if name.startswith("quality_") and row[name] is not None]
    return [_fact(name.removeprefix("quality_").replace("_", " "), f"{row[name]:.4g}", name) for name in names]


def columns(row: Mapping[str, Any], extra: Sequence[str]) -> tuple[list[Fact], list[Fact], list[Fact]]:
    """What was asked, what came of it, and the columns that were carried through."""
    asked = [name for name in MANIFEST_SCHEMA.names if name not in ("provider", *_TOLD_ELSEWHERE)]
    outcome = [n for n in OUTCOME_SCHEMA.names if n not in _TOLD_ELSEWHERE and not n.startswith("quality_")]
    own = [name for name in extra if not name.startswith("quality_")]
    return tuple(
        [_fact(name, shown(row[name], name), name) for name in names if row[name] is not None]
        for names in (asked, outcome, own)
    )  # type: ignore[return-value]


def _fact(label: str, value: str, column: str) -> Fact:
    return Fact(name=label, value=value, description=_DESCRIPTIONS.get(column, ""))


def shown(value: object, name: str) -> str:
    """Any value of any column, as text."""
    if isinstance(value, datetime):
        return wording.moment(value) if value.tzinfo else value.isoformat(" ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    return wording.place(str(value)) if name.endswith("_uri") else str(value)
