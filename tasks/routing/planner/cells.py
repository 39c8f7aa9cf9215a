"""The variables of the programme: who can do which class of rows, by which endpoint, at what price."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.items import Operation
from tasks.routing.fit import misfit
from tasks.routing.planner.classes import WorkClass
from tasks.routing.views import ProviderView
from tasks.routing.work import Endpoint, Price

BatchGroup = tuple[Operation, frozenset[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """Rows of one class at one provider by one endpoint."""

    of_class: int
    provider: int
    endpoint: Endpoint
    price: Price
    group: BatchGroup | None = None  # with BATCH: the rows that may share a request


def cells_of(classes: Sequence[WorkClass], views: Sequence[ProviderView]) -> list[Cell]:
    """Every pair that fits, once an endpoint."""
    cells = []
    for place, view in enumerate(views):
        for number, one in enumerate(classes):
            if misfit(one.work, view) is not None:
                continue
            price = view.price(one.work.operation)
            cells.append(Cell(of_class=number, provider=place, endpoint=Endpoint.SINGLE, price=price))
            selectors = view.batch_group(one.work)
            if selectors is not None:
                group = (one.work.operation, selectors)
                cells.append(Cell(of_class=number, provider=place, endpoint=Endpoint.BATCH, price=price, group=group))
    return cells


def groups_of(cells: Sequence[Cell]) -> list[tuple[int, BatchGroup]]:
    """The kinds of batch requests: by provider and by what may share a request, in a fixed order."""
    groups = {(cell.provider, cell.group) for cell in cells if cell.group is not None}
    return sorted(groups, key=lambda key: (key[0], key[1][0], sorted(key[1][1])))
