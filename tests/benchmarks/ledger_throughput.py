"""Attempts a second through their whole life (reserve, sent, settle) in one process, on both databases.

Singly with 50 in flight, and in batches of 50 with 8 in flight. Surviving the process's death (the default), and the power's
(`durable`: an fsync each commit). Beside it, the bare cost of one such commit on this disk.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from tasks.credits import AccountTerms, AttemptIntent, Charge, Ledger, Spend
from tests.benchmarks.rate_limit import postgres

PRICE = Decimal("0.48")
CHARGE = Charge(usd=PRICE)


def main(quick: bool) -> None:
    """Print a Markdown table."""
    singly, batches = (2_000, 200) if quick else (20_000, 2_000)
    print("| attempts/s, one process | survives | singly, 50 in flight | batches of 50 |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        for label, url in databases(Path(folder)):
            for durable in (False, True):
                one = asyncio.run(measure(url, durable=durable, requests=singly, size=1, in_flight=50))
                many = asyncio.run(measure(url, durable=durable, requests=batches, size=50, in_flight=8))
                survives = "power loss" if durable else "process death"
                print(f"| {label} | {survives} | {one:,.0f} | {many:,.0f} |", flush=True)
        print(f"\nOne commit with fsync on this disk, alone: {commit_ms(Path(folder)):.1f} ms.")


def databases(folder: Path) -> Iterator[tuple[str, str]]:
    """Each with its URL."""
    yield "SQLite", f"sqlite:///{folder}/ledger.sqlite3"
    with postgres() as url:
        yield "PostgreSQL", url


async def measure(url: str, *, durable: bool, requests: int, size: int, in_flight: int) -> float:
    """Attempts a second."""
    run = f"run-{durable}-{size}"
    async with await Ledger.open(url, durable=durable) as ledger:
        await ledger.open_account("vendor", AccountTerms(credits=Decimal(10**9)))
        await ledger.open_run(run, Decimal(10**9))
        slots = asyncio.Semaphore(in_flight)

        async def live(number: int) -> None:
            keys = [f"{run}-{number}-{n}" for n in range(size)]
            intents = [AttemptIntent(attempt_key=key, item_id=key, content_key=key, usd=PRICE) for key in keys]
            async with (
                slots,
                ledger.reserve(Spend(run_id=run, provider="vendor", attempts=intents)) as reservation,
            ):
                await reservation.sent()
                await reservation.settle_all(dict.fromkeys(keys, CHARGE))

        began = time.perf_counter()
        await asyncio.gather(*(live(number) for number in range(requests)))
        took_s = time.perf_counter() - began
        [line] = await ledger.statement(run_id=run)
        assert (line.settled, line.usd) == (requests * size, requests * size * PRICE)
        return requests * size / took_s


def commit_ms(folder: Path) -> float:
    """The floor of `durable`: what the disk itself asks for."""
    connection = sqlite3.connect(folder / "floor.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (x)")
    began = time.perf_counter()
    for number in range(50):
        connection.execute("INSERT INTO t VALUES (?)", (number,))
    took_s = time.perf_counter() - began
    connection.close()
    return took_s / 50 * 1000
