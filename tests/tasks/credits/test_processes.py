"""Several real processes on one ledger: the limit and the budget hold over all of them, also when one is killed."""

import asyncio
import os
import signal
import sys

from tasks.credits import Ledger, Resolution
from tests.tasks.credits.factories import PRICE, RUN, on_ledger, terms


async def child(*arguments: object) -> asyncio.subprocess.Process:
    words = [sys.executable, "-m", "tests.tasks.credits.child", *map(str, arguments)]
    return await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)


async def heard(process: asyncio.subprocess.Process) -> list[list[str]]:
    """What it told, a list of words a line."""
    output, _ = await process.communicate(b"go\n")
    return [line.split() for line in output.decode().splitlines()]


def test_no_window_is_overfilled_by_three_processes(ledger_url: str) -> None:
    """A start may arrive at any moment from its permit to its stamp; even so, twenty fit into any two seconds, not one more."""
    amount, period_s = 20, 2.0
    spans: list[tuple[float, float]] = []

    async def story(_: Ledger) -> None:
        processes = [await child("start_often", ledger_url, name, amount) for name in ("a", "b", "c")]
        for told in await asyncio.gather(*map(heard, processes)):
            spans.extend((float(permitted), float(left)) for _, permitted, left in told)

    on_ledger(ledger_url, story, account=terms(f"{amount}/{period_s:g}s"))
    permitted = sorted(start for start, _ in spans)
    left = sorted(end for _, end in spans)

    assert len(spans) == 3 * amount
    assert all(later - earlier >= period_s for earlier, later in zip(left, permitted[amount:], strict=False))


class Vendor:
    """A provider that keeps its own bill, and kills a customer of ours in the middle."""

    def __init__(self) -> None:
        self.bill: list[str] = []
        self.victim: asyncio.subprocess.Process | None = None
        self.killed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = (await reader.readline()).decode().strip()
        if key:  # else it was killed between connecting and asking
            self.bill.append(key)
        if self.victim is not None and key.startswith("a-") and not self.killed.is_set():
            os.kill(self.victim.pid, signal.SIGKILL)
            self.killed.set()
        else:
            writer.write(b"done\n")
        writer.close()


def test_a_budget_of_twenty_calls_pays_twenty_over_four_processes_and_a_kill(ledger_url: str) -> None:
    vendor = Vendor()

    async def story(ledger: Ledger) -> None:
        server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        processes = [await child("spend_all", ledger_url, name, port) for name in ("a", "b", "c", "d")]
        vendor.victim = processes[0]
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        victims = asyncio.create_task(heard(processes[0]))
        await asyncio.wait_for(vendor.killed.wait(), 30)  # before the others have spent everything
        told = [await victims, *await asyncio.gather(*map(heard, processes[1:]))]
        server.close()
        for attempt in await ledger.recover(RUN):
            await (await ledger.resume(attempt.attempt_key)).doubt(attempt.attempt_key, "its process was killed")
        doubtful = {attempt.attempt_key for attempt in await ledger.in_doubt()}
        for key in doubtful:  # the user looks at the vendor's bill
            charged = key in vendor.bill
            await ledger.resolve(key, Resolution.CHARGED if charged else Resolution.NOT_CHARGED)
        settled = sum(line.settled for line in await ledger.statement())
        usd = sum(line.usd for line in await ledger.statement())

        assert processes[0].returncode == -signal.SIGKILL
        assert all(process.returncode == 0 for process in processes[1:])
        assert 1 <= len(doubtful) <= 3
        assert len(vendor.bill) == len(set(vendor.bill)) <= 20
        assert settled == len(vendor.bill)
        assert usd == len(vendor.bill) * PRICE
        assert sum(int(lines[0][1]) for lines in told[1:]) + len(doubtful) == 20  # the victim was never answered

    on_ledger(ledger_url, story, budget=20 * PRICE)
