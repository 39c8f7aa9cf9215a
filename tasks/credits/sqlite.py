"""The ledger in a SQLite file: the default, for every process of one machine."""

import json
import math
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tasks.credits.database import ConnectionLost, Row
from tasks.credits.errors import LedgerError, LedgerUnavailable

_MOST_ROWS: Final = 256  # in one statement; times 22 columns, well within SQLite's 32,766 parameters
BUSY_S: Final = 20.0  # how long another process may hold the write lock before we call it lost


@contextmanager
def _translated(label: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        code = error.sqlite_errorcode & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ConnectionLost(f"{label} stayed busy for {BUSY_S:g} s") from error
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise LedgerUnavailable(f"{label} cannot be written: {error}") from error
        raise LedgerError(f"{label}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"{label}: {error}") from error


class SqliteConnection:
    """One connection to the file."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        """Open or create the file, in WAL mode: readers never wait for the writer."""
        self.label = f"the ledger {path}"
        with _translated(self.label):
            self._raw = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._to_wal()
            # NORMAL keeps every commit when the process dies; FULL also when the power fails.
            self._raw.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._raw.create_function("floor", 1, math.floor, deterministic=True)  # not compiled into every SQLite

    def _to_wal(self) -> None:
        """SQLite does not wait its timeout out when several processes make this change at once."""
        give_up_at = time.monotonic() + BUSY_S
        while True:
            try:
                self._raw.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.02)
            else:
                return

    def begin(self) -> None:
        """IMMEDIATE: take the write lock before the first look."""
        with _translated(self.label):
            self._raw.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Write it."""
        with _translated(self.label):
            self._raw.execute("COMMIT")

    def rollback(self) -> None:
        """Forget it. Never raises."""
        if self._raw.in_transaction:
            try:
                self._raw.execute("ROLLBACK")
            except sqlite3.Error:
                self.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and read all its rows."""
        sql = sql.replace("IN_LIST", "IN (SELECT value FROM json_each(?))")
        with _translated(self.label):
            return self._raw.execute(sql, parameters).fetchall()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert many rows."""
        names = ", ".join(columns)
        with _translated(self.label):
            for several in _in_stretches(rows):
                sql = f"INSERT INTO {table} ({names}) VALUES {_marks(len(columns), len(several))} {conflict}"  # noqa: S608 - our own names
                self._raw.execute(sql, [value for row in several for value in row])

    def update(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Update many rows by their first column."""
        key, *others = columns
        sets = ", ".join(f"{name} = new.{name}" for name in others)
        with _translated(self.label):
            for several in _in_stretches(rows):
                values = _marks(len(columns), len(several))
                sql = f"WITH new ({', '.join(columns)}) AS (VALUES {values}) UPDATE {table} SET {sets} FROM new WHERE {table}.{key} = new.{key}"  # noqa: S608 - our own names
                self._raw.execute(sql, [value for row in several for value in row])

    def members(self, values: Sequence[str]) -> Any:
        """A list as the parameter of IN_LIST."""
        return json.dumps(list(values))

    def server_time_offset(self) -> float:
        """One machine, one clock."""
        return 0.0

    def close(self) -> None:
        """Let go."""
        try:
            self._raw.close()
        except sqlite3.Error:
            return


def _in_stretches(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """Powers of two, so that few different statements are ever prepared.

    Not `executemany`: it gives up the interpreter lock for every row, and the event loop fights for it each time.
    """
    start = 0
    while start < len(rows):
        size = min(_MOST_ROWS, 1 << ((len(rows) - start).bit_length() - 1))
        yield rows[start : start + size]
        start += size


def _marks(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


class SqliteDatabase:
    """A file on a local disk (not on a network share: WAL needs shared memory)."""

    def __init__(self, path: Path) -> None:
        """`path` is made with its folder when it is missing."""
        self.path = path
        self.label = f"sqlite:///{path}"

    def connect(self, *, durable: bool) -> SqliteConnection:
        """A new connection."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"the ledger's folder {self.path.parent} cannot be made: {error.strerror}") from error
        return SqliteConnection(self.path, durable=durable)
