"""Where the ledger lies, from its URL."""

import os
import sys
from pathlib import Path

from tasks.credits.database import Database
from tasks.credits.errors import LedgerError
from tasks.credits.sqlite import SqliteDatabase


def database_at(url: str) -> Database:
    """`sqlite:///path`, `postgresql://…`, or "" for the default file. LedgerError says what was expected."""
    if not url:
        return SqliteDatabase(data_folder() / "ledger.sqlite3")
    scheme, found, rest = url.partition("://")
    if not found:
        raise LedgerError("the ledger's URL must start with sqlite:/// or postgresql://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/":
        return SqliteDatabase(Path(rest[1:]).expanduser().absolute())
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        from tasks.credits.postgresql import PostgresDatabase  # noqa: PLC0415 - a quarter of a second, for few

        return PostgresDatabase(f"postgresql://{rest}")
    raise LedgerError(
        f"the ledger's URL starts with '{scheme}://': sqlite:///path/to/file or postgresql://… is expected"
    )


def data_folder() -> Path:
    """The user's data folder of this program, by each system's custom."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "cleanplate"
