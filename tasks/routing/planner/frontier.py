"""The frontier of cost against time: for each finish the least that it can cost to have every row done by then."""

from dataclasses import replace

from tasks.routing.planner.plan import FrontierPoint
from tasks.routing.planner.programme import Bounds
from tasks.routing.planner.search import Found, Search


def frontier(search: Search, *, points: int) -> tuple[FrontierPoint, ...]:
    """From the earliest finish to the least cost, both ends included, evenly spaced by ratio of time between them."""
    if points < 1 or not search.programme.classes:
        return ()
    bounds = Bounds(undone=search.undone(Bounds()))
    quickest, cheapest = search.fastest(bounds), search.cheapest(bounds)
    between = points - 2
    found = [quickest, cheapest]
    if cheapest.usd < quickest.usd and between > 0 and quickest.finish_s > 0:
        ratio = (cheapest.finish_s / quickest.finish_s) ** (1 / (between + 1))
        times = [quickest.finish_s * ratio**step for step in range(1, between + 1)]
        found += [one for at in times if (one := search.least_cost(replace(bounds, within_s=at)))]
    return tuple(FrontierPoint(finish_s=one.finish_s, usd=one.usd) for one in _undominated(found)[:points])


def _undominated(found: list[Found]) -> list[Found]:
    """Each later than the one before, and cheaper."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (one.finish_s, one.usd)):
        if not kept or one.usd < kept[-1].usd:
            kept.append(one)
    return kept
