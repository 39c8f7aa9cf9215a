"""Results at rest: a manifest's rows with their outcomes beside them, to and from Arrow and pandas."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from manifests.batch_rows import BatchRows
from manifests.error_codes import ErrorCode
from manifests.items import batch_id
from manifests.outcomes import Outcome, State
from manifests.rows import RowFault
from manifests.schemas import OUTCOME_SCHEMA, SCHEMA_VERSION

_QUALITY: Final = "quality_"
_MICRO: Final = Decimal("0.000001")  # MONEY's scale
_OF_THE_RUN: Final = frozenset({"run_id", "batch_id", "schema_version", "provider_pin"})
_IF_MISSING: Final[Mapping[str, object]] = {
    "attempts": 0,
    "reused": False,
    "credits": Decimal(0),
    "cost_usd": Decimal(0),
}


def results_schema(manifest_schema: pa.Schema, extra_metrics: Iterable[str] = ()) -> pa.Schema:
    """A manifest's own columns, the foreign ones, then the outcome; quality metrics beyond the documented ones stand beside those."""
    own = [field for field in manifest_schema if field.name != "provider"]
    outcome = list(OUTCOME_SCHEMA)
    known = set(OUTCOME_SCHEMA.names)
    extra = [pa.field(name, pa.float64()) for name in sorted(map(_quality_column, extra_metrics)) if name not in known]
    last = max(index for index, field in enumerate(outcome) if field.name.startswith(_QUALITY)) + 1
    return pa.schema([*own, *outcome[:last], *extra, *outcome[last:]])


def extra_metrics(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """Names of quality metrics that `schemas.py` does not list."""
    return frozenset(
        name for outcome in outcomes for name in outcome.quality if _quality_column(name) not in OUTCOME_SCHEMA.names
    )


def metrics_of(schema: pa.Schema) -> frozenset[str]:
    """Names of the quality metrics that a table of outcomes or results has."""
    return frozenset(name.removeprefix(_QUALITY) for name in schema.names if name.startswith(_QUALITY))


def _quality_column(metric: str) -> str:
    if not (metric.isidentifier() and metric.isascii() and metric == metric.lower()):
        raise ValueError(f"'{metric}' is no metric name: use lower-case letters, digits and underscore")
    return f"{_QUALITY}{metric}"


def results_table(
    rows: BatchRows, outcomes: Sequence[Outcome], run_id: str, batch_ids: Sequence[str] | None = None
) -> pa.Table:
    """Rows with their outcomes, one each and in the same order; `batch_ids` one a row, if not all are of `rows.ref`.

    ValueError when they do not belong together.
    """
    ids = rows.table["item_id"].to_pylist()
    if ids != [outcome.item_id for outcome in outcomes]:
        raise ValueError(
            f"batch {rows.ref.index} has {len(ids)} rows; the {len(outcomes)} outcomes are not theirs, or in another order"
        )
    names = pa.array(batch_ids or [batch_id(run_id, rows.ref)] * len(ids), pa.string())
    return beside(rows.table, outcomes_table(outcomes), run_id, names)


def outcomes_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """What became of some items: the columns of the results beyond the items' own, their run's and their batch's."""
    schema = outcomes_schema(extra_metrics(outcomes))
    return pa.Table.from_arrays([pa.array(_values(one.name, outcomes), one.type) for one in schema], schema=schema)


def outcomes_schema(extra: Iterable[str] = ()) -> pa.Schema:
    """Of `outcomes_table`; `extra`: metrics beyond the documented ones."""
    return pa.schema([field for field in results_schema(pa.schema([]), extra) if field.name not in _OF_THE_RUN])


def beside(table: pa.Table, outcomes: pa.Table, run_id: str, batch_ids: pa.Array) -> pa.Table:
    """Rows of a manifest and beside each its outcome (`outcomes_table`) and batch."""
    schema = results_schema(table.schema, metrics_of(outcomes.schema))
    ours: dict[str, pa.Array] = {
        "run_id": pa.repeat(pa.scalar(run_id, pa.string()), len(table)),
        "batch_id": batch_ids,
        "schema_version": pa.repeat(pa.scalar(SCHEMA_VERSION, pa.int32()), len(table)),
        "provider_pin": table["provider"],
    }
    columns = []
    for field in schema:
        if field.name in table.schema.names and field.name != "provider":
            columns.append(table[field.name])
        elif field.name in ours:
            columns.append(ours[field.name])
        else:
            columns.append(outcomes[field.name])
    return pa.Table.from_arrays(columns, schema=schema)


def _values(name: str, outcomes: Sequence[Outcome]) -> list[Any]:
    """One column."""
    if name in ("credits", "cost_usd"):
        return [amount.quantize(_MICRO) if (amount := getattr(outcome, name)) else _NOTHING for outcome in outcomes]
    if name == "repairs":
        return [list(outcome.repairs) for outcome in outcomes]
    if name in _PLAIN:
        return [getattr(outcome, name) for outcome in outcomes]
    return [outcome.quality.get(name.removeprefix(_QUALITY)) for outcome in outcomes]


_NOTHING: Final = Decimal(0).quantize(_MICRO)
DOCUMENTED_METRICS: Final = metrics_of(OUTCOME_SCHEMA)
_PLAIN: Final = tuple(name for name in OUTCOME_SCHEMA.names if name in {*Outcome.__dataclass_fields__, "duration_ms"})


def outcomes_of(table: pa.Table) -> tuple[Outcome, ...]:
    """The outcomes that a results table holds, row by row."""
    metrics = [name for name in table.schema.names if name.startswith(_QUALITY)]
    names = [name for name in ("item_id", *_PLAIN, *metrics) if name in table.schema.names]
    return tuple(_outcome(row, metrics) for row in table.select(names).to_pylist())


def _outcome(row: dict[str, Any], metrics: Sequence[str]) -> Outcome:
    fields = {name: row[name] for name in ("item_id", *_PLAIN) if name in row and name != "duration_ms"}
    fields["state"] = State(row["state"])
    fields["error_code"] = ErrorCode(row["error_code"]) if row["error_code"] else None
    fields["repairs"] = tuple(row.get("repairs") or ())
    fields["quality"] = {name.removeprefix(_QUALITY): row[name] for name in metrics if row[name] is not None}
    return Outcome(**fields)


def rejection(fault: RowFault) -> Outcome:
    """The outcome of a row that cannot become an item: nothing was sent."""
    return Outcome(item_id=fault.item_id, state=State.REJECTED, error_code=fault.code, error_message=fault.message)


def align(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A results table of an older version, or of a part without some metric, in the present schema: what is missing is null (or 0)."""
    if table.schema.equals(schema):
        return pa.Table.from_arrays(table.columns, schema=schema)  # the same types; the schema's descriptions
    columns = []
    for field in schema:
        if field.name in table.schema.names:
            columns.append(table[field.name].cast(field.type))
        else:
            filler = None if field.nullable else _IF_MISSING.get(field.name)
            columns.append(pa.repeat(pa.scalar(filler, field.type), len(table)))
    return pa.Table.from_arrays(columns, schema=schema)
