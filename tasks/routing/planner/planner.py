"""The plan of a run before anything is spent: cheapest, fastest or as preferred, within a deadline and a budget."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.routing.planner.capacity import Capacity
from tasks.routing.planner.classes import WorkClass
from tasks.routing.planner.conflicts import Shortfall, conflict, shortfall
from tasks.routing.planner.frontier import frontier
from tasks.routing.planner.plan import Assignment, NotDone, Plan, ProviderPart
from tasks.routing.planner.programme import Bounds, Programme
from tasks.routing.planner.search import Found, Search
from tasks.routing.policies import PolicyName, RoutingPolicy
from tasks.routing.route import NoRoute, route
from tasks.routing.views import ProviderView
from tasks.routing.work import Endpoint, Price

CREDIT_WEIGHT: Final = 1e-6
"""US dollars that a credit counts for beside its price: of two plans at one price, the one that uses fewer credits."""


def make_plan(
    classes: Sequence[WorkClass],
    views: Sequence[ProviderView],
    *,
    now: float,
    policy: PolicyName = PolicyName.CHEAPEST,
    deadline_s: float | None = None,
    budget_usd: Decimal | None = None,
    reused: int = 0,
    rejected: Mapping[ErrorCode, int] | None = None,
    frontier_points: int = 8,
    notes: Sequence[str] = (),
) -> Plan:
    """The optimal assignment of all rows.

    Args:
        classes: what is to be done, counted by kind (`Tally.classes`).
        views: the run's providers in the user's order of preference.
        now: seconds since the epoch; times in the plan count from here.
        policy: what comes first among the plans that keep the bounds.
        deadline_s: every row done by then, seconds from now; None: none.
        budget_usd: the most to spend; None: no ceiling.
        reused: rows that an earlier run has made already.
        rejected: rows that preflight would refuse, by reason.
        frontier_points: at most so many points of cost against time; 0: none (re-planning needs none).
        notes: what the figures rest on, to be shown with them.

    When the bounds cannot be kept, the plan does as many rows as they allow, and `conflict` says what must give.
    """
    open_classes, nobodys = _sorted_out(classes, views, now)
    usable = [view for view in views if _held_s(view, now) is not None]
    capacities = [Capacity.of(view, held_s=_held_s(view, now) or 0.0) for view in usable]
    by_policy = Search(Programme(open_classes, usable, capacities, _weight(policy)))
    by_cost = Search(Programme(open_classes, usable, capacities, _weight(PolicyName.CHEAPEST)))
    bounds = Bounds(within_s=deadline_s, budget_usd=budget_usd)
    found = by_policy.fastest(bounds) if policy is PolicyName.FASTEST else by_policy.cheapest(bounds)
    short = shortfall(by_cost, bounds)
    return Plan(
        rows=sum(one.rows for one in classes) + reused + sum((rejected or {}).values()),
        reused=reused,
        rejected=tuple(NotDone(code=code, rows=n, message=code.advice) for code, n in (rejected or {}).items()),
        parts=tuple(_parts(by_policy.programme, found)),
        not_done=(*nobodys, *_left_out(short, usable)),
        usd=found.usd,
        finish_s=found.finish_s,
        policy=str(policy),
        assignments=tuple(_assignments(by_policy.programme, found)),
        frontier=frontier(by_cost, points=frontier_points),
        conflict=conflict(by_cost, bounds, short.credits),
        deadline_s=deadline_s,
        budget_usd=budget_usd,
        notes=tuple(notes),
    )


def _weight(policy: PolicyName) -> Callable[[int, Price], float]:
    """What `cheapest` makes least: money, or the user's order of preference."""
    if policy is PolicyName.ORDERED:
        return lambda place, _: float(place)
    return lambda _, price: float(price.usd) + CREDIT_WEIGHT * float(price.credits)


def _held_s(view: ProviderView, now: float) -> float | None:
    """Seconds until the provider may be asked; None: not in this run."""
    parked = view.parked
    if parked is not None and parked.until is None:
        return None
    until = max(parked.until or 0.0 if parked else 0.0, view.breaker_retry_at or 0.0)
    return max(0.0, until - now)


def _sorted_out(
    classes: Sequence[WorkClass], views: Sequence[ProviderView], now: float
) -> tuple[list[WorkClass], list[NotDone]]:
    """What somebody can do, and what nobody can, with the reasons that a running flow would give."""
    can: list[WorkClass] = []
    cannot: Counter[tuple[ErrorCode, str]] = Counter()
    for one in classes:
        found = route(one.work, views, RoutingPolicy(), now=now)
        if isinstance(found, NoRoute) and found.retry_at is None:
            cannot[found.reason, found.message] += one.rows
        elif one.rows:
            can.append(one)
    return can, [NotDone(code=code, rows=rows, message=message) for (code, message), rows in cannot.items()]


def _left_out(short: Shortfall, views: Sequence[ProviderView]) -> list[NotDone]:
    counted = ", ".join(f"{view.key}: {view.credits_left} left" for view in views if view.credits_left is not None)
    reasons = (
        (ErrorCode.OUT_OF_CREDITS, short.credits, f"the accounts hold too few credits ({counted})"),
        (ErrorCode.BUDGET_REACHED, short.budget, "beyond the budget"),
        (ErrorCode.DEADLINE_REACHED, short.deadline, "beyond the deadline"),
    )
    return [NotDone(code=code, rows=rows, message=message) for code, rows, message in reasons if rows > 0]


def _assignments(programme: Programme, found: Found) -> list[Assignment]:
    return [
        Assignment(
            work=programme.classes[cell.of_class].work,
            provider=programme.views[cell.provider].key,
            endpoint=cell.endpoint,
            rows=rows,
            usd=rows * cell.price.usd,
            credits=rows * cell.price.credits,
        )
        for cell, rows in zip(programme.cells, found.solution.rows, strict=True)
        if rows
    ]


def _parts(programme: Programme, found: Found) -> list[ProviderPart]:
    assigned = _assignments(programme, found)
    parts = []
    for place, view in enumerate(programme.views):
        batches = sum(
            count for (owner, _), count in zip(programme.groups, found.solution.requests, strict=True) if owner == place
        )
        for endpoint in Endpoint:
            mine = [one for one in assigned if (one.provider, one.endpoint) == (view.key, endpoint)]
            rows = sum(one.rows for one in mine)
            if not rows:
                continue
            parts.append(
                ProviderPart(
                    provider=view.key,
                    endpoint=endpoint,
                    rows=rows,
                    requests=batches if endpoint is Endpoint.BATCH else rows,
                    credits=sum((one.credits for one in mine), Decimal(0)),
                    usd=sum((one.usd for one in mine), Decimal(0)),
                    finish_s=programme.endpoint_finish_s(found.solution, place, endpoint),
                )
            )
    return parts
