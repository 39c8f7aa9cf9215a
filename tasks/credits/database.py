"""The seam between the books and a database: a connection that speaks one small dialect of SQL.

SQL is written with `?` for parameters and `IN_LIST` after a column for membership in a list. A write transaction shuts out
every other writer of the same ledger, on both databases: decisions are made on facts that cannot change under them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from tasks.credits.errors import LedgerError
from tasks.credits.schema import MIGRATIONS

Row = tuple[Any, ...]


class ConnectionLost(Exception):  # noqa: N818 - names the state; never leaves this package
    """The database went away or stayed busy: connect anew and look whether the last transaction was written."""


class Connection(Protocol):
    """One connection, used by one thread."""

    def begin(self) -> None:
        """Start the only write transaction of this ledger."""
        ...

    def commit(self) -> None:
        """Write it."""
        ...

    def rollback(self) -> None:
        """Forget it. Never raises."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement; all rows are read at once, so that no cursor keeps a lock."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert many rows; `conflict` is an ON CONFLICT clause."""
        ...

    def update(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Update many rows; the first column is the key."""
        ...

    def members(self, values: Sequence[str]) -> Any:
        """A list as the parameter of IN_LIST."""
        ...

    def server_time_offset(self) -> float:
        """Seconds to add to this machine's clock to have the database's; 0 where both are one."""
        ...

    def close(self) -> None:
        """Let go. Never raises."""
        ...


class Database(Protocol):
    """Where the ledger lies."""

    label: str  # for people; without password

    def connect(self, *, durable: bool) -> Connection:
        """A new connection. Raises ConnectionLost, or LedgerError when waiting would not help."""
        ...


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """A write transaction: committed at the end, forgotten on any exception."""
    connection.begin()
    try:
        yield connection
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def migrate(connection: Connection) -> None:
    """Bring the tables to this version; safe from several processes at once."""
    with transaction(connection):
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)")
        rows = connection.execute("SELECT max(version) FROM schema_version")
        version = rows[0][0] or 0
        if version > len(MIGRATIONS):
            raise LedgerError(
                f"this ledger is of version {version}, made by a newer cleanplate; this one knows {len(MIGRATIONS)}: update it"
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < len(MIGRATIONS):
            connection.execute("DELETE FROM schema_version")
            connection.execute("INSERT INTO schema_version (version) VALUES (?)", (len(MIGRATIONS),))
