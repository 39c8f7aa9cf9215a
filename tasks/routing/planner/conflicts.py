"""When a deadline and a budget cannot both be kept: which must give, and by how much."""

from dataclasses import dataclass, replace
from decimal import Decimal
from math import ceil

from tasks.routing.planner.plan import Conflict, MustGive
from tasks.routing.planner.programme import Bounds
from tasks.routing.planner.search import Search
from tasks.routing.planner.words import dollars, duration


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortfall:
    """Rows left out, by what keeps them out."""

    credits: int
    budget: int
    deadline: int


def shortfall(search: Search, bounds: Bounds) -> Shortfall:
    """Each bound is blamed for the rows that it costs on top of those before it."""
    by_credits = search.undone(Bounds())
    by_budget = search.undone(replace(bounds, within_s=None)) if bounds.budget_usd is not None else by_credits
    by_all = search.undone(bounds) if bounds.within_s is not None else by_budget
    return Shortfall(credits=by_credits, budget=by_budget - by_credits, deadline=by_all - by_budget)


def conflict(search: Search, bounds: Bounds, least_undone: int) -> Conflict | None:
    """None: both can be kept. `least_undone`: rows that no bound of the user's is to blame for."""
    deadline_s, budget = bounds.within_s, bounds.budget_usd
    if search.undone(bounds) <= least_undone:
        return None
    in_time = _keeps(search, replace(bounds, budget_usd=None), least_undone)
    in_budget = _keeps(search, replace(bounds, within_s=None), least_undone)
    if in_time and in_budget and deadline_s is not None and budget is not None:
        return _either(search, deadline_s, budget, least_undone)
    if not in_time and not in_budget and deadline_s is not None and budget is not None:
        return _both(search, deadline_s, budget, least_undone)
    if not in_time and deadline_s is not None:
        kept = Bounds(budget_usd=budget, undone=least_undone)
        return _deadline(search, deadline_s, kept)
    return _budget(search, bounds, least_undone)


def _keeps(search: Search, bounds: Bounds, least_undone: int) -> bool:
    return search.undone(bounds) <= least_undone


def _deadline(search: Search, deadline_s: float, kept: Bounds) -> Conflict:
    needed_s, usd = _least_time(search, kept)
    message = (
        f"the deadline of {duration(deadline_s)} cannot be kept: every row done takes {duration(needed_s)} at the"
        f" least, {duration(needed_s - deadline_s)} more, and then costs {dollars(usd)}"
    )
    return Conflict(must_give=MustGive.DEADLINE, message=message, deadline_needed_s=needed_s)


def _budget(search: Search, bounds: Bounds, least_undone: int) -> Conflict:
    budget = bounds.budget_usd or Decimal(0)
    needed = _least_money(search, Bounds(within_s=bounds.within_s, undone=least_undone))
    when = "" if bounds.within_s is None else f" within {duration(bounds.within_s)}"
    message = (
        f"the budget of {dollars(budget)} cannot be kept: every row done{when} costs {dollars(needed)} at the least,"
        f" {dollars(needed - budget)} more"
    )
    return Conflict(must_give=MustGive.BUDGET, message=message, budget_needed_usd=needed)


def _either(search: Search, deadline_s: float, budget: Decimal, least_undone: int) -> Conflict:
    needed = _least_money(search, Bounds(within_s=deadline_s, undone=least_undone))
    needed_s, _ = _least_time(search, Bounds(budget_usd=budget, undone=least_undone))
    message = (
        f"a deadline of {duration(deadline_s)} and a budget of {dollars(budget)} cannot both be kept: by that time it"
        f" costs {dollars(needed)}, {dollars(needed - budget)} more; for that money it takes {duration(needed_s)},"
        f" {duration(needed_s - deadline_s)} more"
    )
    return Conflict(must_give=MustGive.EITHER, message=message, deadline_needed_s=needed_s, budget_needed_usd=needed)


def _both(search: Search, deadline_s: float, budget: Decimal, least_undone: int) -> Conflict:
    needed = _least_money(search, Bounds(undone=least_undone))
    needed_s, _ = _least_time(search, Bounds(undone=least_undone))
    message = (
        f"neither the deadline of {duration(deadline_s)} nor the budget of {dollars(budget)} can be kept: every row"
        f" done takes {duration(needed_s)} at the least, and costs {dollars(needed)} at the least"
    )
    return Conflict(must_give=MustGive.BOTH, message=message, deadline_needed_s=needed_s, budget_needed_usd=needed)


def _least_time(search: Search, bounds: Bounds) -> tuple[float, Decimal]:
    found = search.fastest(bounds)
    return float(ceil(found.finish_s)), found.usd


def _least_money(search: Search, bounds: Bounds) -> Decimal:
    return search.cheapest(bounds).usd
