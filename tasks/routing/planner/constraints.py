"""The lines of the programme: coefficients over its variables (rows by cell, batch requests by group, rows undone by class)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf

import numpy as np
from numpy.typing import NDArray

from manifests.items import Operation
from tasks.routing.planner.capacity import Capacity
from tasks.routing.planner.cells import BatchGroup, Cell
from tasks.routing.planner.classes import WorkClass
from tasks.routing.views import ProviderView
from tasks.routing.work import Endpoint, Price

Vector = NDArray[np.float64]
Line = tuple[Vector, float, float]  # coefficients, least, most


@dataclass(frozen=True, slots=True)
class Lines:
    """Makes the lines of one problem."""

    classes: Sequence[WorkClass]
    views: Sequence[ProviderView]
    capacities: Sequence[Capacity]
    cells: Sequence[Cell]
    groups: Sequence[tuple[int, BatchGroup]]

    def vector(self, cells: Sequence[float] | None = None, *, requests: float = 0.0, undone: float = 0.0) -> Vector:
        """One coefficient a cell, and the same for all batch requests and for all rows undone."""
        of_cells = [0.0] * len(self.cells) if cells is None else cells
        return np.array([*of_cells, *[requests] * len(self.groups), *[undone] * len(self.classes)], dtype=np.float64)

    def singles(self, place: int | None = None) -> list[float]:
        """1 for rows sent singly: of one provider, or of all."""
        return [float(cell.endpoint is Endpoint.SINGLE and place in (None, cell.provider)) for cell in self.cells]

    def always(self) -> list[Line]:
        """What holds whatever the user's bounds: every row is somewhere, batches hold what they hold, accounts are not overdrawn."""
        lines = [self._class(number) for number, _ in enumerate(self.classes)]
        lines += [self._batch(number) for number, _ in enumerate(self.groups)]
        for place, view in enumerate(self.views):
            lines += self._account(place, view.credits_left, lambda price: price.credits)
            lines += self._account(place, view.usd_left, lambda price: price.usd)
        return lines

    def in_time(self, within_s: float, taken_off_s: Mapping[int, float]) -> list[Line]:
        """What can be done within so many seconds. `taken_off_s`: by provider, from what its places in flight have."""
        lines: list[Line] = []
        for place, capacity in enumerate(self.capacities):
            singles, batches = self.vector(self.singles(place)), self._batches(place)
            lines.append((singles, 0.0, capacity.singles(within_s)))
            lines.append((batches, 0.0, capacity.batches(within_s)))
            if capacity.at_once:
                busy_s = (singles * capacity.single_latency_s + batches * capacity.batch_latency_s) * capacity.tries
                lines.append((busy_s, 0.0, capacity.at_once * max(0.0, within_s - taken_off_s[place])))
        return lines

    def _class(self, number: int) -> Line:
        line = self.vector([float(cell.of_class == number) for cell in self.cells])
        line[len(self.cells) + len(self.groups) + number] = 1.0
        rows = float(self.classes[number].rows)
        return line, rows, rows

    def _batch(self, number: int) -> Line:
        key = self.groups[number]
        line = self.vector([float((cell.provider, cell.group) == key) for cell in self.cells])
        line[len(self.cells) + number] = -self.views[key[0]].batch_size
        return line, -inf, 0.0

    def _batches(self, place: int) -> Vector:
        line = self.vector()
        for number, (owner, _) in enumerate(self.groups):
            line[len(self.cells) + number] = owner == place
        return line

    def _account(self, place: int, left: Decimal | None, of: Callable[[Price], Decimal]) -> list[Line]:
        if left is None:
            return []
        view = self.views[place]
        held = view.waiting * max(of(view.price(operation)) for operation in Operation)
        spent = self.vector([float(of(cell.price)) * (cell.provider == place) for cell in self.cells])
        return [(spent, 0.0, float(max(left - held, Decimal(0))))]
