"""When credits run out, at the pace of the last days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from tasks.report.dashboard.ledger_facts import ProviderBalance

WINDOW_DAYS: Final = 14  # long enough to hold two weekends, short enough to follow a season


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """One account, and how long it lasts."""

    balance: ProviderBalance
    per_day: Decimal  # spent on average, in the unit of the balance
    runs_out_at: datetime | None  # UTC; None: not at this pace, or nothing is known

    @property
    def left(self) -> Decimal | None:
        """Credits where they are counted, else US dollars."""
        return self.balance.credits if self.balance.credits is not None else self.balance.usd


def forecasts(
    balances: Sequence[ProviderBalance],
    spent: Mapping[tuple[date, str], tuple[Decimal, Decimal]],
    now: datetime,
) -> list[Forecast]:
    """`spent`: (day, provider) → (credits, US dollars). Averages over the days since the first spending within the window."""
    since = (now - timedelta(days=WINDOW_DAYS)).date()
    made = []
    for balance in balances:
        unit = 0 if balance.credits is not None else 1
        days = {
            day: amounts[unit]
            for (day, name), amounts in spent.items()
            if name == balance.provider and since < day <= now.date() and amounts[unit]
        }
        length = max((now.date() - min(days, default=now.date())).days + 1, 1)
        per_day = sum(days.values(), Decimal(0)) / length
        made.append(Forecast(balance=balance, per_day=per_day, runs_out_at=_runs_out(balance, unit, per_day, now)))
    return made


def _runs_out(balance: ProviderBalance, unit: int, per_day: Decimal, now: datetime) -> datetime | None:
    left = balance.usd if unit else balance.credits
    if left is None or per_day <= 0:
        return None
    days = min(float(max(left, Decimal(0)) / per_day), 36_500.0)
    return now + timedelta(days=days)
