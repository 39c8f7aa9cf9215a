"""The statement as a table for Parquet."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from tasks.credits.statement import StatementLine

_MONEY: Final = pa.decimal128(19, 9)

STATEMENT_SCHEMA: Final = pa.schema(
    [
        pa.field("day", pa.date32(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("provider", pa.string(), nullable=False),
        pa.field("settled", pa.int64(), nullable=False),
        pa.field("credits", _MONEY, nullable=False),
        pa.field("usd", _MONEY, nullable=False),
        pa.field("released", pa.int64(), nullable=False),
        pa.field("in_doubt", pa.int64(), nullable=False),
        pa.field("under_way", pa.int64(), nullable=False),
        pa.field("credits_held", _MONEY, nullable=False),
        pa.field("usd_held", _MONEY, nullable=False),
    ],
    metadata={"schema_version": "1"},
)


def statement_table(lines: Sequence[StatementLine]) -> pa.Table:
    """For Parquet: typed, money as decimal(19, 9)."""
    columns = {name: [getattr(line, name) for line in lines] for name in STATEMENT_SCHEMA.names}
    return pa.table(columns, schema=STATEMENT_SCHEMA)
