"""The work to be done, as routing sees it: one row, what is asked of a provider for it, and what that costs."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from manifests.items import Item, Operation


class Endpoint(StrEnum):
    """How a row reaches its provider."""

    SINGLE = "single"
    BATCH = "batch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One row as routing sees it; as a member of a class of identical rows, `item_id` is empty."""

    item_id: str = ""
    operation: Operation = Operation.OBJECT_REMOVAL
    selectors: frozenset[str] = frozenset({"mask"})  # as Item.selectors
    pixels: int | None = None  # width · height; None: not read yet
    bytes: int | None = None  # of the picture file; None: not read yet
    pinned: str | None = None  # only this provider
    excluded: frozenset[str] = frozenset()  # providers that this row has been given up at

    @classmethod
    def of(
        cls,
        item: Item,
        *,
        pixels: int | None = None,
        size_bytes: int | None = None,
        excluded: frozenset[str] = frozenset(),
    ) -> "Work":
        """An item, with what preflight found out about its picture."""
        return cls(
            item_id=item.item_id,
            operation=item.operation,
            selectors=item.selectors,
            pixels=pixels,
            bytes=size_bytes,
            pinned=item.provider,
            excluded=excluded,
        )

    @property
    def kind(self) -> "Work":
        """What the plan's shares go by: what is asked, whatever the picture."""
        return Work(operation=self.operation, selectors=self.selectors, pinned=self.pinned)

    @property
    def croppable(self) -> bool:
        """A hole known by place can be sent with its surroundings alone, so no picture is too large for it."""
        return self.operation is Operation.OBJECT_REMOVAL and bool(self.selectors & {"mask", "points", "box"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What one image costs: money for the budget, credits for the account."""

    usd: Decimal = Decimal(0)
    credits: Decimal = Decimal(0)
