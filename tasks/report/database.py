"""DuckDB straight on results manifests: one relation `results` over any number of runs, and the views of `views/*.sql`."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from manifests.schemas import MANIFEST_SCHEMA, OUTCOME_SCHEMA
from tasks.report.places import FoundRun, ResultsUnreadableError

VIEWS: Final = ("spend_by_day", "failures_by_cause", "provider_scorecard", "latest_by_item", "review_queue")
FILE: Final = "_file"  # the results manifest that holds the row
ROW: Final = (
    "_row"  # its place in that file: the two name a row even where item ids, or run ids of two catalogs, repeat
)
_RESERVED: Final = frozenset({FILE, "file_row_number"})  # a column of such a name would hide the row's place
_CONFIG: Final = {
    "memory_limit": "1GB",  # sorts and groups of ten million rows spill instead of growing
    "preserve_insertion_order": "false",
    "autoinstall_known_extensions": "false",  # nothing is ever fetched from outside
    "autoload_known_extensions": "false",
}
_ARROW_TO_DUCKDB: Final = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.decimal128(18, 6): "DECIMAL(18,6)",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
    pa.list_(pa.string()): "VARCHAR[]",
    pa.list_(pa.int64()): "BIGINT[]",
    pa.list_(pa.list_(pa.int64())): "BIGINT[][]",
}
RESULT_COLUMNS: Final[Mapping[str, str]] = {
    field.name: _ARROW_TO_DUCKDB[field.type] for field in (*MANIFEST_SCHEMA, *OUTCOME_SCHEMA)
}


class Database:
    """Read-only questions to the results of some runs. Safe to share between threads: each query has its own cursor."""

    def __init__(self, runs: Sequence[FoundRun], *, query_timeout_s: float = 60) -> None:
        """`query_timeout_s`: a query that takes longer is interrupted (`TimeoutError`).

        A results file that cannot be read is left out, and `unreadable` says why: one torn file must not hide a year of runs.
        """
        self._connection = duckdb().connect(":memory:", config=dict(_CONFIG))
        self._timeout_s = query_timeout_s
        self._connection.execute("SET TimeZone = 'UTC'; SET parquet_metadata_cache = true")
        for fs in {type(run.fs): run.fs for run in runs if not isinstance(run.fs, LocalFileSystem)}.values():
            self._connection.register_filesystem(fs)
        uris = [run.results_uri for run in runs if run.finished]
        self.unreadable: dict[str, str] = {}  # results URI → why
        present = self._columns(uris)
        if present is None:
            self.unreadable = {uri: why for uri in uris if (why := self._fault(uri))}
            uris = [uri for uri in uris if uri not in self.unreadable]
            present = self._columns(uris)
        self.extra_columns = tuple(name for name in present or () if name.lower() not in (*RESULT_COLUMNS, FILE, ROW))
        self._connection.execute(_results_sql(uris if present else [], present or {}, self.extra_columns))
        for name in VIEWS:
            self._connection.execute(view_sql(name))

    def query(self, sql: str, parameters: Sequence[object] = (), **tables: pa.Table) -> list[dict[str, Any]]:
        """Rows as dicts; money as Decimal, times as aware datetimes in UTC. `tables` can be named in the query.

        Raises:
            TimeoutError: it took too long.
            ResultsUnreadableError: a file is damaged, or has gone.
        """
        # Not by way of Arrow: its `to_pylist` imports pandas, which takes longer than any query here.
        with self._asking(tables) as cursor:
            asked = cursor.execute(sql, parameters)
            names = [column[0] for column in asked.description]
            return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]

    def arrow(self, sql: str, parameters: Sequence[object] = (), **tables: pa.Table) -> pa.Table:
        """The same as a table, for answers that go into a file."""
        with self._asking(tables) as cursor:
            return cursor.sql(sql, params=parameters or None).to_arrow_table()

    @contextmanager
    def _asking(self, tables: Mapping[str, pa.Table]) -> Iterator[Any]:
        cursor = self._connection.cursor()
        for name, table in tables.items():
            cursor.register(name, table)
        timer = threading.Timer(self._timeout_s, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield cursor
        except duckdb().InterruptException:
            raise TimeoutError(f"the query took longer than {self._timeout_s:g} s") from None
        except (duckdb().IOException, duckdb().InvalidInputException) as error:
            raise ResultsUnreadableError(f"results could not be read: {str(error).splitlines()[0]}") from error
        finally:
            timer.cancel()
            cursor.close()

    def close(self) -> None:
        """Give back memory and files."""
        self._connection.close()

    def _columns(self, uris: Sequence[str]) -> dict[str, str] | None:
        """Name → type over all files; None when they cannot be read together."""
        if not uris:
            return {}
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {_source(uris)}").fetchall()  # noqa: S608 - literals are quoted
        except duckdb().Error:
            return None
        columns = {str(name): str(kind) for name, kind, *_ in described}
        return None if _RESERVED & {name.lower() for name in columns} - {FILE} else columns

    def _fault(self, uri: str) -> str:
        """Why one file cannot be read; empty when it can."""
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {_source([uri])}").fetchall()  # noqa: S608 - as above
        except duckdb().Error as error:
            return str(error).splitlines()[0]
        taken = _RESERVED & {str(name).lower() for name, *_ in described} - {FILE}
        return f"it has a column named {', '.join(taken)}, which DuckDB keeps for itself" if taken else ""


def _source(uris: Sequence[str]) -> str:
    files = ", ".join(map(_literal, uris))
    return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false, filename = '{FILE}')"


def _results_sql(uris: Sequence[str], present: Mapping[str, str], extras: Sequence[str]) -> str:
    """The relation `results`: our columns whatever the files' version, then what was carried through, then the row's place."""
    own = [_own_column(name, kind, present.get(name)) for name, kind in RESULT_COLUMNS.items()]
    if not uris:
        return f"CREATE VIEW results AS SELECT {', '.join(own)}, '' AS {FILE}, 0::BIGINT AS {ROW} WHERE false"
    columns = ", ".join([*own, *map(quoted, extras), FILE, f"file_row_number AS {ROW}"])
    return f"CREATE VIEW results AS SELECT {columns} FROM {_source(uris)}"  # noqa: S608 - names are quoted


def duckdb() -> Any:
    """DuckDB, imported at its first use and held by nobody here.

    A module that held it would keep it alive past the end of a process in which some thread, such as one of Prefect's,
    still knows a function of ours, and its binding then prints a page about leaks.
    """
    return import_module("duckdb")


def view_sql(name: str) -> str:
    """The text of one of `VIEWS`: a CREATE VIEW over a relation named `results`."""
    return (files("tasks.report") / "views" / f"{name}.sql").read_text(encoding="utf-8")


def _own_column(name: str, kind: str, present: str | None) -> str:
    """An older file may lack a column or hold it narrower: it reads as null, or widened."""
    if present is None:
        return f"CAST(NULL AS {kind}) AS {name}"
    return name if present == kind else f"TRY_CAST({name} AS {kind}) AS {name}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A column name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'
