"""Small manifests and outcomes for tests."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.error_codes import ErrorCode
from manifests.items import Item
from manifests.outcomes import Outcome, State
from manifests.reader import BatchRows


def pictures(count: int, start: int = 0) -> list[str]:
    """Addresses of pictures that need not exist."""
    return [f"/pictures/{number:06d}.jpg" for number in range(start, start + count)]


def write_manifest(path: Path, columns: Mapping[str, Any] | pa.Table, *, rows_per_group: int = 1_000_000) -> str:
    """A Parquet file; returns its address."""
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_per_group)
    return str(path)


def succeeded(item_id: str, **facts: Any) -> Outcome:
    """An outcome of an item that went well."""
    facts = {"provider": "maskr", "attempts": 1, "credits": Decimal(3), "cost_usd": Decimal("0.48"), **facts}
    return Outcome(item_id=item_id, state=State.SUCCEEDED, **facts)


def outcomes_for(rows: BatchRows, **facts: Any) -> Sequence[Outcome]:
    """One that went well for each row."""
    return [succeeded(item.item_id, **facts) for item in rows.items]


def interrupted(item: Item) -> Outcome:
    """What a row gets that the run did not come to."""
    return Outcome(item_id=item.item_id, state=State.DEFERRED, error_code=ErrorCode.INTERRUPTED)
