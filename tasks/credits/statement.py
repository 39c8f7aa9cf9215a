"""What was spent and what is left, for people, dashboards and the provider's bill."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tasks.credits.clock import moment
from tasks.credits.database import Connection, Row
from tasks.credits.money import from_nano
from tasks.credits.outlook import in_flight
from tasks.credits.parking import is_parked, next_try_at
from tasks.credits.records import ACCOUNT_COLUMNS, Account

_DAY_S: Final = 86_400
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class StatementLine:
    """One run's attempts at one provider on one day (UTC, by when the requests left)."""

    day: date
    run_id: str
    provider: str
    settled: int  # attempts charged
    credits: Decimal  # charged
    usd: Decimal  # charged
    released: int  # attempts not charged
    in_doubt: int  # attempts that may have been charged
    under_way: int
    credits_held: Decimal  # for attempts in doubt and under way
    usd_held: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class BalanceLine:
    """One account."""

    provider: str
    credits: Decimal | None  # None: unknown, and no limit
    credits_held: Decimal
    credits_spent: Decimal  # since the account was opened here
    usd: Decimal | None
    usd_held: Decimal
    usd_spent: Decimal
    in_flight: int  # requests
    parked_reason: str | None
    next_try_at: datetime | None  # of a parked account
    read_at: datetime | None  # when the provider last told its balance
    credits_drift: Decimal | None  # what it said then, less what was counted here
    usd_drift: Decimal | None


_COUNTS: Final = frozenset({"settled", "released", "in_doubt", "under_way"})
_SUMS: Final = ("settled", "credits", "usd", "released", "in_doubt", "under_way", "credits_held", "usd_held")


def knows_run(connection: Connection, run_id: str) -> bool:
    """Whether that run was ever opened in these books."""
    return bool(connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)))


def statement(
    connection: Connection, *, run_id: str | None, provider: str | None, day: date | None
) -> list[StatementLine]:
    """Lines in order of day, run and provider."""
    wanted: list[tuple[str, Any]] = []
    if run_id is not None:
        wanted.append(("run_id = ?", run_id))
    if provider is not None:
        wanted.append(("provider = ?", provider))
    if day is not None:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        wanted += [
            ("coalesce(sent_at, reserved_at) >= ?", start),
            ("coalesce(sent_at, reserved_at) < ?", start + _DAY_S),
        ]
    where = f"WHERE {' AND '.join(condition for condition, _ in wanted)}" if wanted else ""
    rows = connection.execute(
        f"SELECT floor(coalesce(sent_at, reserved_at) / {_DAY_S}), run_id, provider,"  # noqa: S608 - our own words
        " sum(CASE WHEN state = 'settled' THEN 1 ELSE 0 END), sum(credits), sum(usd),"
        " sum(CASE WHEN state = 'released' THEN 1 ELSE 0 END),"
        " sum(CASE WHEN open = 2 THEN 1 ELSE 0 END), sum(CASE WHEN open = 1 THEN 1 ELSE 0 END),"
        " sum(CASE WHEN open > 0 THEN credits_held ELSE 0 END), sum(CASE WHEN open > 0 THEN usd_held ELSE 0 END)"
        f" FROM attempts {where} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        [value for _, value in wanted],
    )
    return [_line(row) for row in rows]


def _line(row: Row) -> StatementLine:
    values: dict[str, Any] = {"day": _EPOCH + timedelta(days=int(row[0])), "run_id": row[1], "provider": row[2]}
    for name, value in zip(_SUMS, row[3:], strict=True):
        values[name] = int(value) if name in _COUNTS else from_nano(int(value))
    return StatementLine(**values)


def balances(connection: Connection, now: float) -> list[BalanceLine]:
    """Every account, by name."""
    rows = connection.execute(f"SELECT {', '.join(ACCOUNT_COLUMNS)} FROM accounts ORDER BY provider")  # noqa: S608 - our own names
    return [_balance(connection, Account(*row), now) for row in rows]


def _balance(connection: Connection, account: Account, now: float) -> BalanceLine:
    parked = is_parked(account, now)
    try_at = next_try_at(account, now) if parked else None
    drift = connection.execute(
        "SELECT credits - credits_counted, usd - usd_counted FROM balance_events"
        " WHERE provider = ? AND kind = 'reading' ORDER BY at DESC LIMIT 1",
        (account.provider,),
    )
    credits_drift, usd_drift = drift[0] if drift else (None, None)
    return BalanceLine(
        provider=account.provider,
        credits=from_nano(account.credits),
        credits_held=from_nano(account.credits_held),
        credits_spent=from_nano(account.credits_spent),
        usd=from_nano(account.usd),
        usd_held=from_nano(account.usd_held),
        usd_spent=from_nano(account.usd_spent),
        in_flight=in_flight(connection, account.provider, now),
        parked_reason=account.parked_reason if parked else None,
        next_try_at=None if try_at is None else moment(try_at),
        read_at=None if account.read_at is None else moment(account.read_at),
        credits_drift=from_nano(credits_drift),
        usd_drift=from_nano(usd_drift),
    )
