"""Which columns of a Parquet file are ours, which are carried through, and how the many spellings of a type become one."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.types as kind

from manifests.errors import ManifestError
from manifests.schemas import MANIFEST_SCHEMA, OUTCOME_SCHEMA

_MARKS_OF_RESULTS: Final = frozenset({"run_id", "batch_id", "state", "schema_version"})
_OUTCOME_NAMES: Final = frozenset(OUTCOME_SCHEMA.names) - {"provider"}
_QUALITY: Final = "quality_"


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnPlan:
    """How one file's columns become the manifest's."""

    ours: Mapping[str, str]  # our name → name in the file
    foreign: Mapping[str, str]  # name in manifest and results → name in the file
    foreign_fields: tuple[pa.Field, ...]  # under the names of manifest and results

    def source_of(self, name: str) -> str | None:
        """What a column of the manifest is called in this file; None when the file lacks it."""
        return self.ours.get(name) or self.foreign.get(name)


def plan_columns(schema: pa.Schema, where: str) -> ColumnPlan:
    """Sort a file's columns into ours and foreign ones.

    A results manifest is a manifest too: its outcome columns are left out, for the next run writes them anew, and its
    `provider_pin` is the pin. In any other file a column that is named like an outcome is somebody else's fact
    (`width`, `state`): it is carried through as `input_width`, `input_state`.

    Raises:
        ManifestError: image_uri is missing, a column of ours has an unusable type, or a name occurs twice.
    """
    _refuse_twins(schema.names, where)
    is_results = _MARKS_OF_RESULTS.issubset(schema.names)
    spelled = {name.casefold(): name for name in schema.names}
    ours = {name: spelled[name] for name in MANIFEST_SCHEMA.names if name in spelled}
    if is_results:
        ours.pop("provider", None)
        if "provider_pin" in schema.names:
            ours["provider"] = "provider_pin"
    _require_picture(ours, schema.names, where)
    for name, source in ours.items():
        _require_type(name, schema.field(source).type, where)
    rest = [name for name in schema.names if name.casefold() not in MANIFEST_SCHEMA.names]
    if is_results:
        rest = [name for name in rest if not _is_outcome(name)]
    foreign = {_foreign_name(name): name for name in rest}
    _refuse_twins([_foreign_name(name) for name in rest], where)
    fields = tuple(schema.field(source).with_name(name) for name, source in foreign.items())
    return ColumnPlan(ours=ours, foreign=foreign, foreign_fields=fields)


def _is_outcome(name: str) -> bool:
    return name.casefold() in _OUTCOME_NAMES or name.casefold().startswith(_QUALITY)


def _foreign_name(name: str) -> str:
    return f"input_{name}" if _is_outcome(name) else name


def _refuse_twins(names: Sequence[str], where: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.casefold(), name)
        if twin is not name:
            raise ManifestError(
                f"{where}: the columns '{twin}' and '{name}' have the same name (case does not count in DuckDB and Spark): rename one"
            )


def _require_picture(ours: Mapping[str, str], names: Sequence[str], where: str) -> None:
    if "image_uri" in ours:
        return
    close = difflib.get_close_matches("image_uri", [name.lower() for name in names], n=1, cutoff=0.5)
    source = next((name for name in names if close and name.lower() == close[0]), "YOUR_COLUMN")
    raise ManifestError(
        f"{where}: column image_uri (the pictures' addresses) is missing; there are: {', '.join(names) or 'none'}. "
        f"Rename the column that holds them, or export to CSV and use `cleanplate manifest build --map image_uri={source}`"
    )


def _require_type(name: str, actual: pa.DataType, where: str) -> None:
    wanted = MANIFEST_SCHEMA.field(name).type
    usable = _is_text(actual) or (name == "item_id" and kind.is_integer(actual))
    if kind.is_list(wanted):
        usable = _is_numbers(actual, depth=2 if name == "points" else 1)
    if not usable and not kind.is_null(actual):
        hint = " (JSON text becomes lists with `cleanplate manifest build`)" if _is_text(actual) else ""
        raise ManifestError(f"{where}: column {name} is {actual}, expected {wanted}: cast it{hint}")


def _is_text(actual: pa.DataType) -> bool:
    if kind.is_dictionary(actual):
        return _is_text(actual.value_type)
    return bool(kind.is_string(actual) or kind.is_large_string(actual) or kind.is_string_view(actual))


def _is_numbers(actual: pa.DataType, depth: int) -> bool:
    if depth == 0:
        return bool(kind.is_integer(actual) or kind.is_floating(actual) or kind.is_null(actual))
    is_list = kind.is_list(actual) or kind.is_large_list(actual) or kind.is_fixed_size_list(actual)
    return bool(is_list) and (kind.is_null(actual.value_type) or _is_numbers(actual.value_type, depth - 1))


def conform(column: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    """Cast a column to `wanted`; values that do not go (10.5 as a pixel, bytes that are no UTF-8) become null, with the reason by row."""
    try:
        cast = column if column.type.equals(wanted) else column.cast(wanted)
        cast.validate(full=True)
    except pa.ArrowInvalid:
        return _conform_each(column, wanted)
    return cast, {}


def _conform_each(column: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    pieces, faults = [], {}
    for row in range(len(column)):
        piece = column.slice(row, 1)
        try:
            piece = pa.concat_arrays([piece]).cast(wanted)
            piece.validate(full=True)
        except pa.ArrowInvalid as error:
            piece = pa.nulls(1, wanted)
            faults[row] = str(error).splitlines()[0]
        pieces.append(piece)
    return pa.concat_arrays(pieces), faults
