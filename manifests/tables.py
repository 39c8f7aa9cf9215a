"""Rows of CSV, TSV, JSON Lines and Excel files, one after the other, each with the line it came from."""

import csv
import json
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TextIO
from zipfile import BadZipFile

import fsspec
import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from manifests.errors import ManifestError
from manifests.storage import StorageOptions, locate, shown, storage_errors

_DELIMITERS: Final = ",;\t|"
_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")

Row = tuple[int, dict[str, Any]]
"""Line or row number as an editor shows it, and the values by column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSource:
    """A table that can be read again and again. `delimiter` None: found out; `sheet` None: the first."""

    uri: str
    encoding: str = "utf-8-sig"
    delimiter: str | None = None
    sheet: str | None = None
    options: StorageOptions | None = None

    @property
    def suffix(self) -> str:
        """.csv, .tsv, .jsonl or .xlsx, whatever the compression."""
        name = shown(self.uri).lower()
        stem, suffix = posixpath.splitext(name)
        return posixpath.splitext(stem)[1] if suffix in _COMPRESSED else suffix

    @property
    def is_typed(self) -> bool:
        """False where every value is text (CSV): then `00123` must stay as it is."""
        return self.suffix not in (".csv", ".tsv", ".txt")

    @property
    def is_known(self) -> bool:
        """True when the name says that it is such a table."""
        return self.suffix in (".csv", ".txt", ".tsv", ".jsonl", ".ndjson", ".xlsx")

    def rows(self) -> Iterator[Row]:
        """All rows that are not blank.

        Raises:
            ManifestError: not found, of no known kind, or malformed; the message names the line.
        """
        where = shown(self.uri)
        if not self.is_known:
            raise ManifestError(f"{where}: of no known kind: give .csv, .tsv, .jsonl or .xlsx")
        readers = {".jsonl": _json_rows, ".ndjson": _json_rows, ".xlsx": _excel_rows}
        try:
            with storage_errors(self.uri):
                yield from readers.get(self.suffix, _csv_rows)(self)
        except FileNotFoundError:
            raise ManifestError(f"{where}: not found") from None


@contextmanager
def _text(source: TableSource) -> Iterator[TextIO]:
    try:
        with fsspec.open(
            source.uri, "rt", encoding=source.encoding, newline="", compression="infer", **(source.options or {})
        ) as file:
            yield file
    except (UnicodeError, LookupError) as error:
        raise ManifestError(
            f"{shown(source.uri)}: is not {source.encoding} text ({error}): name its encoding, such as --encoding cp1252"
        ) from None


def _csv_rows(source: TableSource) -> Iterator[Row]:
    with _text(source) as file:
        first = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=_delimiter(source, first), strict=True)
        try:
            names = _header([name.strip() for name in next(reader, [])], source.uri)
            for values in reader:
                if len(values) not in (0, len(names)):
                    raise ManifestError(
                        f"{shown(source.uri)}: line {reader.line_num} has {len(values)} values, the header {len(names)}: "
                        "put values that hold the delimiter in quotes"
                    )
                if values:
                    yield reader.line_num, dict(zip(names, values, strict=True))
        except csv.Error as error:
            raise ManifestError(f"{shown(source.uri)}: line {reader.line_num}: {error}") from None


def _delimiter(source: TableSource, header: str) -> str:
    if source.delimiter:
        return source.delimiter
    if source.suffix == ".tsv":
        return "\t"
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=unquoted.count)


def _header(names: list[str], uri: str) -> list[str]:
    if not any(names):
        raise ManifestError(f"{shown(uri)}: the first line must hold the columns' names; it is empty")
    folded = [name.casefold() for name in names]
    twins = {name for name in names if folded.count(name.casefold()) > 1}
    if twins or not all(names):
        raise ManifestError(
            f"{shown(uri)}: the columns' names must be there and differ; look at: {', '.join(sorted(twins)) or 'a column without a name'}"
        )
    return names


def _json_rows(source: TableSource) -> Iterator[Row]:
    with _text(source) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ManifestError(
                    f"{shown(source.uri)}: line {number} is no JSON: {error}; one object a line is expected"
                ) from None
            if not isinstance(row, dict):
                raise ManifestError(
                    f"{shown(source.uri)}: line {number} is no JSON object: one object a line is expected"
                )
            yield number, row


def _excel_rows(source: TableSource) -> Iterator[Row]:
    fs, path = locate(source.uri, source.options)
    with fs.open(path, "rb") as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        except (InvalidFileException, BadZipFile, KeyError, ValueError) as error:
            raise ManifestError(f"{shown(source.uri)}: is no Excel workbook (.xlsx): {error}") from None
        if source.sheet is not None and source.sheet not in book.sheetnames:
            raise ManifestError(
                f"{shown(source.uri)}: has no sheet '{source.sheet}': there are {', '.join(book.sheetnames)}"
            )
        sheet = book[source.sheet] if source.sheet else book.worksheets[0]
        rows = sheet.iter_rows(values_only=True)
        header = ["" if name is None else str(name).strip() for name in next(rows, ())]
        while header and not header[-1]:
            header.pop()
        names = _header(header, source.uri)
        for number, values in enumerate(rows, 2):
            if any(value is not None for value in values):
                yield number, dict(zip(names, values, strict=False))
