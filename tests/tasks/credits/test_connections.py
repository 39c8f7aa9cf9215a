"""Busy, lost and broken databases: what was asked for is done once, or the caller hears of it."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tasks.credits import AccountTerms, Ledger, LedgerError, LedgerUnavailable, SystemClock
from tasks.credits.database import Connection, ConnectionLost, Database
from tasks.credits.location import database_at
from tasks.credits.operations import Upkeep
from tasks.credits.reader import Reader
from tasks.credits.writer import Writer
from tests.tasks.credits.factories import PRICE, PROVIDER, RUN, crash, on_ledger, pay, spend


class FragileConnection:
    """A real connection that is lost at a chosen commit, before or after it was written."""

    def __init__(self, real: Connection, commits: "Fragile") -> None:
        self._real, self._commits = real, commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def commit(self) -> None:
        self._commits.commit(self._real)


class Fragile:
    """A real database whose connections break."""

    def __init__(self, url: str, *, every: int, written: bool) -> None:
        self._real, self._every, self._written = database_at(url), every, written
        self.label = self._real.label
        self.commits = self.lost = 0

    def connect(self, *, durable: bool) -> FragileConnection:
        return FragileConnection(self._real.connect(durable=durable), self)

    def commit(self, real: Connection) -> None:
        self.commits += 1
        breaks = self.commits % self._every == 0
        if breaks and not self._written:
            self.lost += 1
            raise ConnectionLost("before it was written")
        real.commit()
        if breaks:
            self.lost += 1
            raise ConnectionLost("after it was written")


def on_database(database: Database) -> Ledger:
    writer = Writer(database, SystemClock(), durable=False, patience_s=20, upkeep=Upkeep())
    return Ledger(writer, Reader(database, patience_s=20), SystemClock())


@pytest.mark.parametrize("written", [True, False], ids=["answer lost", "commit lost"])
def test_whatever_a_lost_connection_interrupts_is_booked_exactly_once(ledger_url: str, written: bool) -> None:
    async def story() -> None:
        fragile = Fragile(ledger_url, every=3, written=written)
        async with on_database(fragile) as ledger:
            await ledger.open_account(PROVIDER, AccountTerms())
            await ledger.open_run(RUN, 25 * PRICE)
            for first in range(0, 20, 4):
                await asyncio.gather(*(pay(ledger, spend(f"a{first + n}")) for n in range(4)))
            await crash(ledger, spend("b"), sent=True)
            [line] = await ledger.statement()

        assert fragile.lost >= 5
        assert (line.settled, line.usd, line.in_doubt, line.usd_held) == (20, 20 * PRICE, 1, PRICE)

    asyncio.run(story())


def test_postgresql_ending_our_connections_again_and_again_loses_nothing(postgres_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            for batch in range(5):
                work = asyncio.gather(*(pay(ledger, spend(f"a{batch}-{n}")) for n in range(20)))
                await asyncio.sleep(0)
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
                await work
        [line] = await ledger.statement()

        assert (line.settled, line.usd, line.usd_held) == (100, 100 * PRICE, 0)

    on_ledger(postgres_url, story)


def test_a_busy_sqlite_is_waited_for(sqlite_url: str, tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        paying = asyncio.ensure_future(pay(ledger, spend("a")))
        readable = await ledger.statement()
        written_meanwhile = paying.done()
        other.execute("ROLLBACK")
        other.close()
        await paying

        assert readable == []
        assert not written_meanwhile

    on_ledger(sqlite_url, story)


def test_a_database_that_is_not_there_is_named_at_once(postgres_url: str) -> None:
    async def story() -> None:
        gone = postgres_url.replace("/postgres?", "/nowhere?")
        with pytest.raises(LedgerError, match="nowhere"):
            await Ledger.open(gone)

    asyncio.run(story())


def test_a_closed_ledger_refuses(ledger_url: str) -> None:
    async def story() -> None:
        ledger = await Ledger.open(ledger_url)
        await ledger.aclose()
        await ledger.aclose()
        with pytest.raises(LedgerUnavailable, match="closed"):
            await ledger.open_run(RUN, None)

    asyncio.run(story())


def broken(path: Path) -> None:
    path.write_bytes(b"this is no database, and long enough to be looked at" * 100)


def a_folder(path: Path) -> None:
    path.mkdir()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE schema_version (version bigint NOT NULL)")
        connection.execute("INSERT INTO schema_version VALUES (999)")


@pytest.mark.parametrize(
    ("spoil", "words"), [(broken, "not a database"), (a_folder, "open"), (newer, "newer cleanplate")]
)
def test_a_file_that_is_no_ledger_is_named_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "ledger.sqlite3"
    spoil(path)
    with pytest.raises(LedgerError, match=words):
        asyncio.run(Ledger.open(f"sqlite:///{path}"))

    assert path.is_dir() or path.stat().st_size > 0


def test_many_may_open_a_new_ledger_at_once(ledger_url: str) -> None:
    async def story() -> None:
        ledgers = await asyncio.gather(*(Ledger.open(ledger_url) for _ in range(8)))
        await ledgers[0].open_account(PROVIDER, AccountTerms())
        balances = [await ledger.balances() for ledger in ledgers]
        for ledger in ledgers:
            await ledger.aclose()

        assert all(len(lines) == 1 for lines in balances)

    asyncio.run(story())


def test_what_breaks_a_transaction_harms_nobody_else_in_it(ledger_url: str) -> None:
    """Half a character is no text to either database."""

    async def story(ledger: Ledger) -> None:
        answers = await asyncio.gather(
            *(ledger.open_run(run, None) for run in ("x", "y\ud800", "z")), return_exceptions=True
        )

        assert [answer is None for answer in answers] == [True, False, True]

    on_ledger(ledger_url, story)
