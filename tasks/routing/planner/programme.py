"""The integer programme behind the plan: which provider does how many rows of each class, by which endpoint.

Rows of a class are alike, so the programme has a variable per class, provider and endpoint: ten million rows are as
small a problem as ten. It is solved by HiGHS (Q. Huangfu, J. Hall, Math. Prog. Comp. 10, 2018) through SciPy.

    x[class, provider, endpoint]  rows          n[provider, group]  batch requests          u[class]  rows left undone

    Σ x[class] + u[class] = rows of the class               Σ x[batch, group] ≤ batch size · n[group]
    Σ x[single] ≤ what starts in time                       Σ n ≤ what starts in time
    Σ latency · requests ≤ places in flight · time          Σ credits · x ≤ credits left          Σ usd · x ≤ budget
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import Final

import numpy as np

from tasks.routing.planner.capacity import Capacity
from tasks.routing.planner.cells import cells_of, groups_of
from tasks.routing.planner.classes import WorkClass
from tasks.routing.planner.constraints import Line, Lines, Vector
from tasks.routing.views import ProviderView
from tasks.routing.work import Endpoint, Price

SOLVER_SECONDS: Final = 20.0  # a guard against a pathological instance; usual ones take milliseconds
COST_GRAIN: Final = 5e-7  # two costs that differ by less are one
MOST_TIGHTENINGS: Final = 12
LATE_S: Final = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a solution must keep. None: no bound."""

    within_s: float | None = None
    budget_usd: Decimal | None = None
    undone: int | None = None  # rows left undone, at most
    cost: float | None = None  # in the programme's own weights, at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """Rows by cell, requests by batch group, rows left undone by class."""

    rows: tuple[int, ...]
    requests: tuple[int, ...]
    undone: tuple[int, ...]


class Programme:
    """One planning problem, to be solved within several bounds and for several aims."""

    def __init__(
        self,
        classes: Sequence[WorkClass],
        views: Sequence[ProviderView],
        capacities: Sequence[Capacity],
        weight: Callable[[int, Price], float],
    ) -> None:
        """`weight`: of one row at the provider at that place in `views`, for that price; `least_cost` sums it up."""
        self.classes, self.views, self.capacities = classes, views, capacities
        self.cells = cells_of(classes, views)
        self.groups = groups_of(self.cells)
        self._lines = Lines(classes, views, capacities, self.cells, self.groups)
        self._weights = [weight(cell.provider, cell.price) for cell in self.cells]

    def least_undone(self, bounds: Bounds) -> Solution | None:
        """As many rows as can be."""
        return self._solve(bounds, self._lines.vector(undone=1.0))

    def least_cost(self, bounds: Bounds) -> Solution | None:
        """As little cost as can be; None: the bounds cannot be kept."""
        return self._solve(bounds, self._lines.vector(self._weights))

    def fewest_requests(self, bounds: Bounds) -> Solution | None:
        """As few requests as can be."""
        return self._solve(bounds, self._lines.vector(self._lines.singles(), requests=1.0))

    def anything(self, bounds: Bounds) -> Solution | None:
        """Any solution within the bounds; None: there is none."""
        return self._solve(bounds, self._lines.vector())

    def cost(self, solution: Solution) -> float:
        """In the programme's own weights."""
        return float(sum(weight * rows for weight, rows in zip(self._weights, solution.rows, strict=True)))

    def finish_s(self, solution: Solution) -> float:
        """When the last row is done, exactly; seconds from the plan's start."""
        return max((self.provider_finish_s(solution, place) for place, _ in enumerate(self.views)), default=0.0)

    def provider_finish_s(self, solution: Solution, place: int) -> float:
        """When one provider is done with its part."""
        return self.capacities[place].finish_s(*self._load(solution, place))

    def endpoint_finish_s(self, solution: Solution, place: int, endpoint: Endpoint) -> float:
        """When one endpoint is done with its part; where both crowd the places in flight, when both are."""
        capacity = self.capacities[place]
        singles, batches = self._load(solution, place)
        if capacity.at_once:
            return capacity.finish_s(singles, batches)
        return capacity.finish_s(singles, 0) if endpoint is Endpoint.SINGLE else capacity.finish_s(0, batches)

    def _load(self, solution: Solution, place: int) -> tuple[int, int]:
        """Rows sent singly and batch requests of one provider."""
        rows = zip(self.cells, solution.rows, strict=True)
        singles = sum(count for cell, count in rows if cell.provider == place and cell.endpoint is Endpoint.SINGLE)
        owners = zip(self.groups, solution.requests, strict=True)
        return singles, sum(count for (owner, _), count in owners if owner == place)

    def _solve(self, bounds: Bounds, aim: Vector) -> Solution | None:
        """Solve; where both endpoints crowd the places in flight, take time off them until the finish is kept."""
        taken_off_s = dict.fromkeys(range(len(self.views)), 0.0)
        if not len(aim):  # nothing to do
            return Solution(rows=(), requests=(), undone=())
        for _ in range(MOST_TIGHTENINGS):
            solution = self._solve_once(bounds, aim, taken_off_s)
            late_s = self._late_s(solution, bounds.within_s) if solution else {}
            if not late_s:
                return solution
            for place, seconds in late_s.items():
                taken_off_s[place] += seconds
        return None

    def _late_s(self, solution: Solution, within_s: float | None) -> dict[int, float]:
        if within_s is None:
            return {}
        crowded = [place for place, capacity in enumerate(self.capacities) if capacity.at_once]
        late_s = {place: self.provider_finish_s(solution, place) - within_s for place in crowded}
        return {place: seconds for place, seconds in late_s.items() if seconds > LATE_S}

    def _solve_once(self, bounds: Bounds, aim: Vector, taken_off_s: dict[int, float]) -> Solution | None:
        from scipy.optimize import Bounds as Box  # noqa: PLC0415 - a second to import, and only plans need it
        from scipy.optimize import LinearConstraint, milp  # noqa: PLC0415 - as above

        lines = self._bound_lines(bounds) + self._lines.always()
        if bounds.within_s is not None:
            lines += self._lines.in_time(bounds.within_s, taken_off_s)
        rows = [one.rows for one in self.classes]
        upper = [*(rows[cell.of_class] for cell in self.cells), *[sum(rows)] * len(self.groups), *rows]
        found = milp(
            aim,
            constraints=LinearConstraint(
                np.array([line for line, _, _ in lines]), [low for _, low, _ in lines], [high for _, _, high in lines]
            ),
            integrality=np.ones(len(aim)),
            bounds=Box(0.0, upper),
            options={"mip_rel_gap": 1e-9, "time_limit": SOLVER_SECONDS},
        )
        return None if found.x is None else self._solution([int(value) for value in np.rint(found.x)])

    def _solution(self, values: list[int]) -> Solution:
        cells, groups = len(self.cells), len(self.groups)
        return Solution(
            rows=tuple(values[:cells]),
            requests=tuple(values[cells : cells + groups]),
            undone=tuple(values[cells + groups :]),
        )

    def _bound_lines(self, bounds: Bounds) -> list[Line]:
        lines: list[Line] = []
        if bounds.budget_usd is not None:
            spent = self._lines.vector([float(cell.price.usd) for cell in self.cells])
            lines.append((spent, 0.0, float(bounds.budget_usd)))
        if bounds.undone is not None:
            lines.append((self._lines.vector(undone=1.0), 0.0, float(bounds.undone)))
        if bounds.cost is not None:
            lines.append((self._lines.vector(self._weights), -inf, bounds.cost + COST_GRAIN))
        return lines
