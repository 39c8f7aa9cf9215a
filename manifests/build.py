"""Making a manifest: from folders and globs of pictures, or from a table."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.cells import URI_COLUMNS, CellError, read_cell
from manifests.errors import ManifestError
from manifests.items import Operation
from manifests.mapping import CHUNK_ROWS, TableMapping, map_table
from manifests.pictures import SUFFIXES, PictureSearch
from manifests.reader import open_manifest
from manifests.schemas import MANIFEST_SCHEMA
from manifests.storage import StorageOptions, absolute, published_file, shown, storage_errors
from manifests.tables import TableSource

ROWS_PER_GROUP: Final = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildReport:
    """What a build wrote and what it came across."""

    uri: str
    rows: int
    columns: tuple[str, ...]
    duplicate_ids: int = 0  # rows whose item_id an earlier row has: they will be rejected
    without_mask: int = 0  # pictures for which the pattern found none
    without_reference: int = 0
    left_out: int = 0  # of those
    examples: tuple[str, ...] = ()  # of those
    other_files: int = 0  # seen, and no pictures


def build_from_pictures(
    sources: Sequence[str],
    to: str,
    *,
    mask: str | None = None,
    reference: str | None = None,
    constants: Mapping[str, str] | None = None,
    keep_unmatched: bool = False,
    storage_options: StorageOptions | None = None,
    to_options: StorageOptions | None = None,
) -> BuildReport:
    """A manifest of the pictures in folders and globs.

    `mask` and `reference` are patterns (`patterns.py`); a picture for which one leads to no file is left out, or kept without.
    `constants` gives columns of ours the same value in every row (operation, prompt, object_name, provider).

    Raises:
        ManifestError: nothing found, a malformed pattern, or a place that cannot be read; nothing is written then.
    """
    values = _constants(constants or {})
    search = PictureSearch(
        sources, mask=mask, reference=reference, keep_without=keep_unmatched, options=storage_options
    )
    names = [
        "item_id",
        "image_uri",
        *(["mask_uri"] if mask else []),
        *(["reference_uri"] if reference else []),
        *values,
    ]
    schema = pa.schema([field for field in MANIFEST_SCHEMA if field.name in names])
    rows = ({name: getattr(found, name, values.get(name)) for name in schema.names} for found in search)
    written = _write(to, schema, rows, to_options, lambda: _nothing_found(sources, search))
    tally = search.tally
    return BuildReport(
        uri=to,
        rows=written,
        columns=tuple(schema.names),
        duplicate_ids=_duplicate_ids(to, to_options),
        without_mask=tally.without_mask,
        without_reference=tally.without_reference,
        left_out=tally.left_out,
        examples=tuple(tally.examples),
        other_files=tally.other_files,
    )


def build_from_table(
    source: TableSource,
    to: str,
    *,
    mapping: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    base: str | None = None,
    to_options: StorageOptions | None = None,
) -> BuildReport:
    """A manifest of the rows of a table; `map_table` says what becomes of its columns.

    Raises:
        ManifestError: the table cannot be read or mapped, or some cells cannot be used; nothing is written then.
    """
    table: TableMapping = map_table(source, mapping=mapping or {}, constants=_constants(constants or {}), base=base)
    written = _write(to, table.schema, table.rows(), to_options, lambda: f"{shown(source.uri)}: has no rows")
    return BuildReport(
        uri=to, rows=written, columns=tuple(table.schema.names), duplicate_ids=_duplicate_ids(to, to_options)
    )


def _constants(values: Mapping[str, str]) -> dict[str, Any]:
    for name, value in values.items():
        if name not in MANIFEST_SCHEMA.names or name in ("item_id", "image_uri"):
            raise ManifestError(f"'{name}' cannot be set to one value for all rows")
        if name == "operation" and value not in list(Operation):
            raise ManifestError(f"operation '{value}' is unknown: write {' or '.join(Operation)}")
    return {name: _constant(name, value) for name, value in values.items()}


def _constant(name: str, value: str) -> Any:
    try:
        read = read_cell(name, value, "")
    except CellError as error:
        raise ManifestError(f"{name}: {error}") from None
    return absolute(read) if read and name in URI_COLUMNS else read


def _write(
    to: str,
    schema: pa.Schema,
    rows: Iterable[Mapping[str, Any]],
    options: StorageOptions | None,
    nothing: Callable[[], str],
) -> int:
    """Write rows as they come; publish them when the last has come. Returns their number."""
    stream: Iterator[Mapping[str, Any]] = iter(rows)
    count = 0
    with storage_errors(to, doing="written"), published_file(to, options) as path:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while group := [pa.Table.from_pylist(chunk, schema=schema) for chunk in _chunks(stream)]:
                writer.write_table(pa.concat_tables(group), row_group_size=ROWS_PER_GROUP)
                count += sum(map(len, group))
        if not count:
            raise ManifestError(nothing())
    return count


def _chunks(stream: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Up to a row group's rows, a few thousand at a time."""
    for _ in range(ROWS_PER_GROUP // CHUNK_ROWS):
        if chunk := list(islice(stream, CHUNK_ROWS)):
            yield chunk


def _nothing_found(sources: Sequence[str], search: PictureSearch) -> str:
    where = ", ".join(map(shown, sources))
    if search.tally.left_out:
        return f"{where}: none of the {search.tally.left_out} pictures has its mask or reference (such as {search.tally.examples[0]}): look at the pattern"
    return f"{where}: holds no pictures ({', '.join(SUFFIXES)}) that are not masks or references themselves; {search.tally.other_files} other files"


def _duplicate_ids(uri: str, options: StorageOptions | None) -> int:
    return len(open_manifest(uri, storage_options=options).duplicate_rows().rows)
