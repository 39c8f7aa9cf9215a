"""From single programmes to a plan: as many rows as can be, then what the policy puts first, then what is left to choose."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from tasks.routing.planner.programme import Bounds, Programme, Solution

TIME_SHARE: Final = 0.001  # a finish is searched down to this share of itself …
TIME_GRAIN_S: Final = 0.05  # … or to this, seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A solution, with what it costs and when it ends, exactly."""

    solution: Solution
    usd: Decimal
    finish_s: float

    @property
    def undone(self) -> int:
        """Rows left out."""
        return sum(self.solution.undone)


class Search:
    """Lexicographic optima over one programme. Every rule here is exact but the finish, which is within TIME_SHARE."""

    def __init__(self, programme: Programme) -> None:
        self.programme = programme
        self._undone: dict[Bounds, int] = {}

    def undone(self, bounds: Bounds) -> int:
        """The least number of rows left out within these bounds."""
        if bounds not in self._undone:
            found = self.programme.least_undone(bounds)
            self._undone[bounds] = sum(found.undone) if found else sum(one.rows for one in self.programme.classes)
        return self._undone[bounds]

    def cheapest(self, bounds: Bounds) -> Found:
        """Most rows, then least cost, then earliest, then fewest requests."""
        bounds = replace(bounds, undone=self.undone(bounds))
        first = self._must(self.programme.least_cost(bounds))
        bounds = replace(bounds, cost=self.programme.cost(first))
        return self._tidy(bounds, self.earliest(bounds, first))

    def fastest(self, bounds: Bounds) -> Found:
        """Most rows, then earliest, then least cost, then fewest requests."""
        bounds = replace(bounds, undone=self.undone(bounds))
        quickest = self.earliest(bounds, self._must(self.programme.least_cost(bounds)))
        bounds = replace(bounds, within_s=quickest.finish_s)
        cheap = self._must(self.programme.least_cost(bounds))
        return self._tidy(replace(bounds, cost=self.programme.cost(cheap)), self._found(cheap))

    def least_cost(self, bounds: Bounds) -> Found | None:
        """Least cost alone; None: the bounds cannot be kept."""
        solution = self.programme.least_cost(bounds)
        return self._found(solution) if solution else None

    def earliest(self, bounds: Bounds, known: Solution) -> Found:
        """The least time within the bounds, between nothing and that of a known solution: more time never hurts."""
        best = self._found(known)
        too_short_s = 0.0
        while best.finish_s - too_short_s > max(TIME_GRAIN_S, TIME_SHARE * best.finish_s):
            middle_s = (best.finish_s + too_short_s) / 2
            solution = self.programme.anything(replace(bounds, within_s=middle_s))
            if solution is None:
                too_short_s = middle_s
            else:
                best = self._found(solution)
        return best

    def _tidy(self, bounds: Bounds, found: Found) -> Found:
        """The same rows, cost and time with the fewest requests."""
        solution = self.programme.fewest_requests(replace(bounds, within_s=found.finish_s))
        return self._found(solution) if solution else found

    def _found(self, solution: Solution) -> Found:
        prices = (cell.price.usd * rows for cell, rows in zip(self.programme.cells, solution.rows, strict=True))
        return Found(solution=solution, usd=sum(prices, Decimal(0)), finish_s=self.programme.finish_s(solution))

    def _must(self, solution: Solution | None) -> Solution:
        """A solution known to exist, since the bounds were met before."""
        if solution is None:
            raise RuntimeError("the planner's own bounds could not be kept: a defect of cleanplate")
        return solution
