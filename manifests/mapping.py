"""From a table with somebody's columns to a manifest: which column is which, and of what type the carried ones are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as kind

from manifests.cells import CellError, read_cell
from manifests.errors import ManifestError
from manifests.patterns import expand, fields_named, require_fields
from manifests.schemas import MANIFEST_SCHEMA
from manifests.storage import absolute, shown
from manifests.tables import TableSource

CHUNK_ROWS: Final = 5000
_PROBLEMS_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class TableMapping:
    """How the rows of a table become rows of a manifest."""

    source: TableSource
    columns: Mapping[str, str]  # ours → theirs
    templates: Mapping[str, str]  # ours → text with {their column}
    constants: Mapping[str, Any]  # ours → the same value for all rows
    carried: Mapping[str, str]  # name in the manifest → theirs
    schema: pa.Schema
    base: str

    def rows(self) -> Iterator[dict[str, Any]]:
        """The manifest's rows. ManifestError after the last one, when cells could not be used: the first few, by line and column."""
        problems: list[str] = []
        count = 0
        for line, row in self.source.rows():
            try:
                yield self._row(row)
            except CellError as error:
                count += 1
                if len(problems) < _PROBLEMS_SHOWN:
                    problems.append(f"  line {line}, {error}")
        if count:
            more = [f"  and {count - len(problems)} more"] if count > len(problems) else []
            raise ManifestError(
                "\n".join(
                    [f"{shown(self.source.uri)}: {count} rows cannot be used; nothing was written:", *problems, *more]
                )
            )

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        values = {name: self._cell(name, row.get(theirs), theirs) for name, theirs in self.columns.items()}
        for name, template in self.templates.items():
            texts = {key: read_cell("prompt", row.get(key), "") for key in fields_named(template)}
            values[name] = None if None in texts.values() else self._cell(name, expand(template, texts), template)
        values |= self.constants
        for name, theirs in self.carried.items():
            values[name] = _carried(row.get(theirs), self.schema.field(name).type)
        return values

    def _cell(self, name: str, value: object, theirs: str) -> Any:
        try:
            return read_cell(name, value, self.base)
        except CellError as error:
            raise CellError(f"column {theirs}: {error}") from None


def map_table(
    source: TableSource, *, mapping: Mapping[str, str], constants: Mapping[str, Any], base: str | None
) -> TableMapping:
    """Decide what becomes of each column, looking through the table once where its values have types.

    `mapping` names for columns of ours the table's column, or a text with {column} in it. Columns that are named like ours need
    no mapping. All others are carried through. `base` is where relative addresses begin; the table's own folder if None.

    Raises:
        ManifestError: an unknown column on either side, no image_uri, or a carried column whose values have no common type.
    """
    for name in (*mapping, *constants):
        if name not in MANIFEST_SCHEMA.names:
            raise ManifestError(f"'{name}' is no column of a manifest; there are: {', '.join(MANIFEST_SCHEMA.names)}")
    theirs, types = _survey(source)
    templates = {name: text for name, text in mapping.items() if "{" in text}
    for name, text in templates.items():
        require_fields(text, theirs, f"the pattern for {name}")
    columns = {name: column for name, column in mapping.items() if name not in templates}
    for name, column in columns.items():
        if column not in theirs:
            raise ManifestError(
                f"{shown(source.uri)}: there is no column '{column}' to take {name} from; there are: {', '.join(theirs)}"
            )
    spelled = {name.casefold(): name for name in theirs}
    settled = {*mapping, *constants}
    columns |= {name: spelled[name] for name in MANIFEST_SCHEMA.names if name in spelled and name not in settled}
    _require_pictures(source, {*columns, *templates, *constants}, theirs)
    carried = {_carried_name(name): name for name in theirs if name not in columns.values()}
    ours = [field.with_nullable(True) for field in MANIFEST_SCHEMA if field.name in {*columns, *templates, *constants}]
    return TableMapping(
        source=source,
        columns=columns,
        templates=templates,
        constants=constants,
        carried=carried,
        schema=pa.schema([*ours, *(pa.field(name, types[column]) for name, column in carried.items())]),
        base=absolute(base) if base else absolute(source.uri, source.options).rpartition("/")[0],
    )


def _carried_name(name: str) -> str:
    return f"input_{name}" if name.casefold() in MANIFEST_SCHEMA.names else name


def _require_pictures(source: TableSource, given: set[str], theirs: Mapping[str, None]) -> None:
    if "image_uri" not in given:
        raise ManifestError(
            f"{shown(source.uri)}: which column holds the pictures' addresses? Say --map image_uri=COLUMN; there are: {', '.join(theirs)}"
        )


def _survey(source: TableSource) -> tuple[dict[str, None], dict[str, pa.DataType]]:
    """The table's columns in order, and the Arrow type of each."""
    rows = (row for _, row in source.rows())
    if not source.is_typed:
        names = dict.fromkeys(next(rows, {}))
        types = dict.fromkeys(names, pa.string())
    else:
        names, types = {}, {}
        while chunk := list(islice(rows, CHUNK_ROWS)):
            names |= dict.fromkeys(name for row in chunk for name in row)
            for name in names:
                types[name] = _joined(types.get(name, pa.null()), [row.get(name) for row in chunk], name, source)
        types = {name: pa.string() if kind.is_null(one) else one for name, one in types.items()}
    if not names:
        raise ManifestError(f"{shown(source.uri)}: has no rows: there is nothing to make a manifest of")
    return names, types


def _joined(known: pa.DataType, values: list[Any], name: str, source: TableSource) -> pa.DataType:
    """A type for what was seen so far and these values; text where plain values differ in kind."""
    try:
        seen = pa.array(values).type
        both = [pa.schema([pa.field("one", one)]) for one in (known, seen)]
        return pa.unify_schemas(both, promote_options="permissive").field("one").type
    except (pa.ArrowException, TypeError, OverflowError, ValueError):
        if kind.is_nested(known) or any(isinstance(value, list | dict) for value in values):
            raise ManifestError(
                f"{shown(source.uri)}: column {name} holds lists or objects and other things: make them alike, or leave the column out"
            ) from None
        return pa.string()


def _carried(value: object, wanted: pa.DataType) -> object:
    if kind.is_string(wanted):
        return None if value is None or value == "" else str(value)
    return value
