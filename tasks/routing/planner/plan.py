"""The plan as a value: who does what, what it costs, when it ends, and what stands in the way."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from manifests.error_codes import ErrorCode
from tasks.routing.shares import Shares
from tasks.routing.work import Endpoint, Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Rows of one kind that one provider does by one endpoint."""

    work: Work
    provider: str
    endpoint: Endpoint
    rows: int
    usd: Decimal
    credits: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderPart:
    """What one endpoint of one provider does in all."""

    provider: str
    endpoint: Endpoint
    rows: int
    requests: int
    credits: Decimal
    usd: Decimal
    finish_s: float  # when the provider's last row is done, seconds from the start


@dataclass(frozen=True, kw_only=True, slots=True)
class NotDone:
    """Rows that the plan leaves out, and why."""

    code: ErrorCode
    rows: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontierPoint:
    """The least that it can cost to have every row done by then."""

    finish_s: float  # seconds from the start
    usd: Decimal


class MustGive(StrEnum):
    """Which of the user's bounds cannot be kept."""

    DEADLINE = "deadline"
    BUDGET = "budget"
    EITHER = "deadline or budget"  # each can be kept without the other
    BOTH = "deadline and budget"  # neither can be kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """The bounds cannot all be kept: what must give, and by how much."""

    must_give: MustGive
    message: str
    deadline_needed_s: float | None = None  # the least that would do, the budget kept if it can be
    budget_needed_usd: Decimal | None = None  # the least that would do, the deadline kept if it can be


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run would do. Nothing was sent, reserved or spent to make it."""

    rows: int  # in the manifest
    reused: int  # delivered again, unpaid
    rejected: tuple[NotDone, ...]  # what preflight would refuse
    parts: tuple[ProviderPart, ...]
    not_done: tuple[NotDone, ...]
    usd: Decimal
    finish_s: float  # seconds from the start
    policy: str
    assignments: tuple[Assignment, ...] = ()
    frontier: tuple[FrontierPoint, ...] = ()
    conflict: Conflict | None = None
    deadline_s: float | None = None
    budget_usd: Decimal | None = None
    warnings: tuple[str, ...] = field(default=())  # what may cost more than the plan says
    notes: tuple[str, ...] = field(default=())  # what the figures rest on

    @property
    def planned(self) -> int:
        """Rows that the providers do."""
        return sum(part.rows for part in self.parts)

    @property
    def credits(self) -> Mapping[str, Decimal]:
        """By provider."""
        total: dict[str, Decimal] = defaultdict(Decimal)
        for part in self.parts:
            total[part.provider] += part.credits
        return {key: amount for key, amount in total.items() if amount}

    def shares(self) -> Shares:
        """The plan as online routing follows it."""
        quotas: dict[Work, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for one in self.assignments:
            quotas[one.work.kind][one.provider] += one.rows
        return Shares(quotas)

    def to_json(self) -> dict[str, Any]:
        """For `--json`: money as decimal text, times in seconds, error codes as in the results."""
        return {
            "policy": self.policy,
            "rows": self.rows,
            "reused": self.reused,
            "rejected": [_not_done(one) for one in self.rejected],
            "planned": self.planned,
            "not_done": [_not_done(one) for one in self.not_done],
            "cost_usd": str(self.usd),
            "credits": {key: str(amount) for key, amount in self.credits.items()},
            "finish_s": round(self.finish_s, 3),
            "deadline_s": self.deadline_s,
            "budget_usd": None if self.budget_usd is None else str(self.budget_usd),
            "providers": [_part(part) for part in self.parts],
            "frontier": [{"finish_s": round(p.finish_s, 3), "cost_usd": str(p.usd)} for p in self.frontier],
            "conflict": None if self.conflict is None else _conflict(self.conflict),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def _not_done(one: NotDone) -> dict[str, Any]:
    return {"error_code": one.code.value, "rows": one.rows, "message": one.message}


def _part(part: ProviderPart) -> dict[str, Any]:
    return {
        "provider": part.provider,
        "endpoint": part.endpoint.value,
        "rows": part.rows,
        "requests": part.requests,
        "credits": str(part.credits),
        "cost_usd": str(part.usd),
        "finish_s": round(part.finish_s, 3),
    }


def _conflict(conflict: Conflict) -> dict[str, Any]:
    needed = conflict.budget_needed_usd
    return {
        "must_give": conflict.must_give.value,
        "message": conflict.message,
        "deadline_needed_s": conflict.deadline_needed_s,
        "budget_needed_usd": None if needed is None else str(needed),
    }
