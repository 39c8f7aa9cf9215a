"""What a look at every file of a catalog found: values for the terminal, JSON and the page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from manifests.error_codes import ErrorCode

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One row with a finding, and where its files lie."""

    row: int  # from the start of the manifest
    item_id: str
    message: str
    image_uri: str | None = None
    mask_uri: str | None = None
    reference_uri: str | None = None


@dataclass(kw_only=True, slots=True)
class Found:
    """All rows with one finding: how many, what they would have cost, and the first few."""

    rows: int = 0
    saved_usd: Decimal = Decimal(0)
    examples: list[Example] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class CatalogFindings:
    """Of a whole catalog. A row has at most one fault, and any number of repairs."""

    rows: int = 0
    untouched: int = 0  # rows that are sound as they are
    repaired: int = 0  # rows that are sent after a repair
    faults: dict[ErrorCode, Found] = field(default_factory=dict)
    repairs: dict[str, Found] = field(default_factory=dict)
    bytes_read: int = 0
    priced_by: tuple[str, ...] = ()  # the providers whose least price counts; empty: no price is known

    @property
    def rejected(self) -> int:
        """Rows that would not be sent."""
        return sum(found.rows for found in self.faults.values())

    @property
    def saved_usd(self) -> Decimal:
        """What the rejected rows would have cost."""
        return sum((found.saved_usd for found in self.faults.values()), Decimal(0))

    def to_json(self) -> dict[str, Any]:
        """For `--json`: money as decimal text."""
        return {
            "rows": self.rows,
            "untouched": self.untouched,
            "repaired": self.repaired,
            "rejected": self.rejected,
            "saved_usd": str(self.saved_usd) if self.priced_by else None,
            "priced_by": list(self.priced_by),
            "bytes_read": self.bytes_read,
            "findings": {code.value: _found(found) for code, found in by_rows(self.faults)},
            "repairs": {name: _found(found) for name, found in by_rows(self.repairs)},
        }


def by_rows(found: Mapping[K, Found]) -> list[tuple[K, Found]]:
    """The most frequent first."""
    return sorted(found.items(), key=lambda entry: (-entry[1].rows, str(entry[0])))


def _found(found: Found) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "saved_usd": str(found.saved_usd),
        "examples": [
            {"row": one.row, "item_id": one.item_id, "message": one.message, "image_uri": one.image_uri}
            for one in found.examples
        ],
    }
