"""What the ledger does by itself: durability, one clock, and forgetting what cannot matter any more."""

import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.credits import Ledger, ManualClock
from tasks.credits.clock import moment
from tasks.credits.database import Connection
from tasks.credits.location import database_at
from tests.tasks.credits.factories import PROVIDER, on_ledger, pay, spend, terms


def test_starts_outside_every_window_are_forgotten(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.credits.writer.UPKEEP_S", 0)
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        for number in range(5):
            await pay(ledger, spend(f"a{number}"))
            clock.advance(timedelta(hours=1).total_seconds())
        await pay(ledger, spend("last"))

    on_ledger(sqlite_url, story, account=terms("60/min"), clock=clock)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as connection:
        [(tickets,)] = connection.execute("SELECT count(*) FROM tickets")
        [(attempts,)] = connection.execute("SELECT count(*) FROM attempts")

    assert (tickets, attempts) == (1, 6)


@pytest.fixture(params=[False, True], ids=["process death", "power loss"])
def connection(request: pytest.FixtureRequest, ledger_url: str) -> Iterator[tuple[Connection, bool]]:
    made = database_at(ledger_url).connect(durable=request.param)
    yield made, request.param
    made.close()


def test_surviving_a_power_cut_is_a_setting(connection: tuple[Connection, bool]) -> None:
    made, durable = connection
    is_sqlite = "sqlite" in type(made).__name__.lower()
    [(setting,)] = made.execute("PRAGMA synchronous" if is_sqlite else "SHOW synchronous_commit")

    assert setting == ({False: 1, True: 2} if is_sqlite else {False: "off", True: "on"})[durable]


def test_a_machine_whose_clock_is_wrong_goes_by_the_servers(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = SimpleNamespace(time=lambda: time.time() - 3600)
    monkeypatch.setattr("tasks.credits.clock.time", wrong)
    monkeypatch.setattr("tasks.credits.postgresql.time", wrong)

    async def story(ledger: Ledger) -> None:
        seen = await ledger.outlook(PROVIDER)

        assert abs(seen.next_start_at - moment(time.time())) < timedelta(minutes=1)

    on_ledger(postgres_url, story)
