"""Of which files a manifest consists, in which order, and how many rows each row group holds: all that is known without reading a row."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.columns import ColumnPlan, plan_columns
from manifests.errors import ManifestError
from manifests.schemas import MANIFEST_SCHEMA
from manifests.storage import StorageOptions, is_local, locate, reason, shown, storage_errors

_PARQUET: Final = (".parquet", ".parq", ".pq")
_TABLES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".xlsx", ".csv.gz")
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
_MAGIC: Final = re.compile(r"[*?\[]")
_FOOTERS_AT_ONCE: Final = 16
_BUFFER_BYTES: Final = 4 << 20  # for each column of a file that is not on this machine
_SMALL_BYTES: Final = 8 << 20

Partition = tuple[str, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestFile:
    """One Parquet file of a manifest."""

    uri: str
    row_groups: tuple[int, ...]  # rows in each
    plan: ColumnPlan
    partitions: tuple[Partition, ...] = ()  # Hive: from the folders' names
    ids_are_complete: bool  # the footer proves that no item_id is missing

    @property
    def row_count(self) -> int:
        """Rows in the file."""
        return sum(self.row_groups)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The files in manifest order and the schema that their rows have once read: our columns, then the foreign ones."""

    files: tuple[ManifestFile, ...]
    schema: pa.Schema


def discover(uris: Sequence[str], options: StorageOptions | None) -> Layout:
    """Find the files behind addresses (files, folders, globs) and read their footers.

    Raises:
        ManifestError: nothing found, not Parquet, unreadable, no rows, or schemas that disagree.
    """
    found = [entry for uri in uris for entry in _find(uri, options)]
    with ThreadPoolExecutor(min(_FOOTERS_AT_ONCE, len(found) or 1)) as pool:
        files = tuple(pool.map(lambda entry: _describe(entry[0], entry[1], options), found))
    where = ", ".join(shown(uri) for uri in uris)
    if not sum(file.row_count for file in files):
        raise ManifestError(f"{where}: the manifest has no rows: there is nothing to do")
    return Layout(files=files, schema=_common_schema(files))


def open_parquet(uri: str, options: StorageOptions | None, *, for_rows: bool = False) -> pq.ParquetFile:
    """Open a file so that reading it takes bounded memory, whatever the size of its row groups.

    `for_rows` says that rows will be read, not the footer alone: a small file elsewhere is then fetched in one request.
    """
    fs, path = locate(uri, options)
    if is_local(fs):
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    if for_rows and (fs.size(path) or _SMALL_BYTES) < _SMALL_BYTES:
        return pq.ParquetFile(pa.BufferReader(fs.cat_file(path)), pre_buffer=False)
    source = fs.open(
        path, "rb", cache_type="none"
    )  # Arrow asks for what it needs; reading ahead would fetch other columns
    return pq.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER_BYTES)


def _find(uri: str, options: StorageOptions | None) -> list[tuple[str, tuple[Partition, ...]]]:
    """Addresses of Parquet files in a stable order, each with its partition values."""
    fs, path = locate(uri, options)
    try:
        with storage_errors(uri):
            root, paths = _search(fs, path.rstrip("/") or path)
    except FileNotFoundError:
        raise ManifestError(f"{shown(uri)}: not found; give a Parquet file, a folder of them, or a glob") from None
    if not paths:
        raise ManifestError(f"{shown(uri)}: holds no Parquet files ({', '.join(_PARQUET)})")
    if paths == [root]:
        return [(uri, ())]
    return [(_address(fs, one), tuple(_partitions(one, root))) for one in sorted(paths)]


def _search(fs: fsspec.AbstractFileSystem, path: str) -> tuple[str, list[str]]:
    """The folder that a path names (or a glob begins with) and the files meant; for one file that file twice."""
    magic = _MAGIC.search(path)
    if magic and not fs.exists(path):
        root = path[: magic.start()].rpartition("/")[0]
        matches = fs.glob(path, detail=True).items()
        nested = [_data_below(fs, one) if info["type"] == "directory" else [one] for one, info in matches]
        return root, sorted({one for several in nested for one in several})
    if fs.info(path)["type"] == "directory":
        return path, _data_below(fs, path)
    return path, [path]


def _data_below(fs: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    return [one for one in fs.find(folder) if _is_data(one, folder)]


def _address(fs: fsspec.AbstractFileSystem, path: str) -> str:
    return path if is_local(fs) else str(fs.unstrip_protocol(path))


def _is_data(path: str, root: str) -> bool:
    """Spark's and Hive's convention: names that begin with _ or . are no data."""
    below = PurePosixPath(path.removeprefix(root).lstrip("/"))
    return path.lower().endswith(_PARQUET) and not any(part[0] in "._" for part in below.parts)


def _partitions(path: str, root: str) -> Iterator[Partition]:
    for part in PurePosixPath(path.removeprefix(root)).parts[:-1]:
        name, equals, value = part.partition("=")
        if equals:
            yield unquote(name), None if value == _NO_VALUE else unquote(value)


def _describe(uri: str, partitions: tuple[Partition, ...], options: StorageOptions | None) -> ManifestFile:
    where = shown(uri)
    try:
        with storage_errors(uri):
            metadata, schema = _footer(uri, options)
    except FileNotFoundError:
        raise ManifestError(f"{where}: not found") from None
    inside = {name.casefold() for name in schema.names}
    added = tuple((name, value) for name, value in partitions if name.casefold() not in inside)
    for name, _ in added:
        schema = schema.append(pa.field(name, pa.string()))
    plan = plan_columns(schema, where)
    return ManifestFile(
        uri=uri,
        row_groups=tuple(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)),
        plan=plan,
        partitions=added,
        ids_are_complete=_ids_are_complete(metadata, plan.ours.get("item_id")),
    )


def _footer(uri: str, options: StorageOptions | None) -> tuple[pq.FileMetaData, pa.Schema]:
    try:
        with open_parquet(uri, options) as file:
            return file.metadata, file.schema_arrow
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{shown(uri)}: not a Parquet file{_hint(uri)}: {reason(error)}") from error


def _ids_are_complete(metadata: pq.FileMetaData, name: str | None) -> bool:
    """Whether statistics say that each row has a non-empty id; False where they say nothing."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    for group in groups:
        columns = (group.column(index) for index in range(group.num_columns))
        statistics = next((column.statistics for column in columns if column.path_in_schema == name), None)
        if statistics is None or not (statistics.has_null_count and statistics.has_min_max):
            return False
        if statistics.null_count or statistics.min == "":
            return False
    return bool(groups)


def _hint(uri: str) -> str:
    table = shown(uri).lower().endswith(_TABLES)
    return "; make one of it with `cleanplate manifest build`" if table else ""


def _common_schema(files: Sequence[ManifestFile]) -> pa.Schema:
    """Ours, then the foreign columns of all files; a column that some files lack is null there."""
    common = pa.schema(files[0].plan.foreign_fields)
    for file in files[1:]:
        theirs = pa.schema(file.plan.foreign_fields)
        if theirs.equals(common):
            continue
        try:
            common = pa.unify_schemas([common, theirs])
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            raise _disagreement(files[0], file, common, theirs) from None
    ours = [field.with_nullable(True) for field in MANIFEST_SCHEMA]  # a row without its picture is that row's fault
    return pa.schema([*ours, *common])


def _disagreement(first: ManifestFile, file: ManifestFile, common: pa.Schema, theirs: pa.Schema) -> ManifestError:
    name = next(
        field.name
        for field in theirs
        if field.name in common.names and not _unify(field.type, common.field(field.name).type)
    )
    return ManifestError(
        f"{shown(file.uri)}: column {name} is {theirs.field(name).type}, but {common.field(name).type} in the files before it "
        f"(first: {shown(first.uri)}): write all files with one type"
    )


def _unify(one: Any, other: Any) -> bool:
    return bool(one.equals(other) or pa.types.is_null(one) or pa.types.is_null(other))
