"""The ledger in PostgreSQL: for several machines that share an account."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tasks.credits.database import ConnectionLost, Row
from tasks.credits.errors import LedgerError
from tasks.credits.schema import type_of

CONNECT_S: Final = 10
STATEMENT_MS: Final = 30_000
IDLE_MS: Final = 20_000  # a client that froze inside a transaction loses it, and with it the lock
_LOCK: Final = 0x636C65616E706C61  # "cleanpla"; two-key locks and other programs' keys do not collide with it


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise ConnectionLost(_first_line(error)) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerError(
            f"PostgreSQL: {_first_line(error)}; let the user create the schema 'cleanplate', or make it"
        ) from None
    except psycopg.Error as error:
        raise LedgerError(f"PostgreSQL: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class PostgresConnection:
    """One connection; its tables live in the schema `cleanplate`."""

    def __init__(self, url: str, *, durable: bool) -> None:
        """Connect and set the session up."""
        settings = {
            "search_path": "cleanplate",
            "synchronous_commit": "on" if durable else "off",
            "statement_timeout": str(STATEMENT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_MS),
        }
        with _translated():
            self._raw = psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_S, keepalives_idle=10, tcp_user_timeout=20_000
            )
            for name, value in settings.items():
                self._raw.execute("SELECT set_config(%s, %s, false)", (name, value))
            if not self._raw.execute("SELECT to_regnamespace('cleanplate') IS NOT NULL").fetchall()[0][0]:
                self._make_schema()

    def _make_schema(self) -> None:
        try:
            self._raw.execute("CREATE SCHEMA IF NOT EXISTS cleanplate")
        except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateSchema):
            return  # another process was quicker; IF NOT EXISTS does not cover that race

    def begin(self) -> None:
        """Wait for our turn: one writer at a time, whose lock ends with its transaction or its connection."""
        with _translated(), self._raw.pipeline():
            self._raw.execute("BEGIN")
            self._raw.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))

    def commit(self) -> None:
        """Write it."""
        with _translated():
            self._raw.execute("COMMIT")

    def rollback(self) -> None:
        """Forget it. Never raises."""
        try:
            self._raw.execute("ROLLBACK")
        except psycopg.Error:
            self.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and read all its rows."""
        text = sql.replace("IN_LIST", "= ANY(?)").replace("?", "%s")
        with _translated():
            cursor = self._raw.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert many rows, as one statement with an array a column."""
        self.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({_arrays(columns)}) {conflict}",  # noqa: S608 - our own names
            _by_column(rows),
        )

    def update(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Update many rows by their first column, as one statement."""
        key, *others = columns
        sets = ", ".join(f"{name} = new.{name}" for name in others)
        self.execute(
            f"UPDATE {table} SET {sets} FROM unnest({_arrays(columns)}) AS new ({', '.join(columns)})"  # noqa: S608 - our own names
            f" WHERE {table}.{key} = new.{key}",
            _by_column(rows),
        )

    def members(self, values: Sequence[str]) -> Any:
        """A list as the parameter of IN_LIST."""
        return list(values)

    def server_time_offset(self) -> float:
        """The database's clock is everybody's; the best of three looks."""
        looks = []
        for _ in range(3):
            before = time.time()
            [(there,)] = self.execute("SELECT extract(epoch FROM clock_timestamp())::double precision")
            after = time.time()
            looks.append((after - before, there - (before + after) / 2))
        return float(min(looks)[1])

    def close(self) -> None:
        """Let go."""
        try:
            self._raw.close()
        except psycopg.Error:
            return


def _arrays(columns: Sequence[str]) -> str:
    return ", ".join(f"?::{type_of(name)}[]" for name in columns)


def _by_column(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Array literals, made here: the driver's own way takes four times as long."""
    return [f"{{{','.join(map(_literal, column))}}}" for column in zip(*rows, strict=True)]


def _literal(value: str | float | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)


class PostgresDatabase:
    """A database on a server."""

    def __init__(self, url: str) -> None:
        """`url` as libpq takes it; it may hold a password, so it is never shown."""
        try:
            parts = conninfo_to_dict(url)
        except psycopg.Error as error:
            raise LedgerError(f"the ledger's URL is no PostgreSQL URL: {_first_line(error)}") from None
        self._url = url
        self.label = f"postgresql://{parts.get('host', 'localhost')}/{parts.get('dbname', '')}"

    def connect(self, *, durable: bool) -> PostgresConnection:
        """A new connection."""
        return PostgresConnection(self._url, durable=durable)
