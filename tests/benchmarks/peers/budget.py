"""A budget of 20 calls for 200 rows, 50 in flight: how many are paid for; then kill -9 of another run at half of the budget, and a rerun."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.crash_safety import FIND, LATENCY_S, UNLIMITED
from tests.benchmarks.peers.comparing import bars, measured
from tests.benchmarks.peers.contenders import Contender, Ours, Theirs
from tests.benchmarks.peers.environments import ABL, LITELLM, ONDINE
from tests.benchmarks.results import keep_plot
from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal

CALLS, IN_FLIGHT = 20, 50
QUICK = 3  # the first of the contenders
OPTIONS = {"budget_calls": CALLS}
CONTENDERS: tuple[Contender, ...] = (
    Ours(label="cleanplate, --budget-usd 9.60", vendor="runflow", environment=FIND, knobs={"budget_usd": "9.60"}),
    Theirs(peer=LITELLM, setting="provider_budget_config", options=OPTIONS),
    Theirs(peer=ABL, setting="max_total_tokens", options=OPTIONS),
    Theirs(peer=ONDINE, setting="with_max_budget", options=OPTIONS),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Calls that were paid."""

    once: int
    with_kill: int  # in both processes together


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, contenders = (100, CONTENDERS[:QUICK]) if quick else (200, CONTENDERS)
    print(f"| contender, a budget of {CALLS} calls, {rows} rows | paid | of the budget | paid with a kill -9 between |")
    print("|---|---:|---:|---:|")
    paid = {}
    for who, f in measured(contenders, lambda contender: against_a_budget(contender, rows)):
        print(f"| {who} | {f.once} | {f.once / CALLS:.2f}× | {f.with_kill} |", flush=True)
        paid[who] = f.once
    title = f"Calls paid under a budget of {CALLS}: {rows} rows, {IN_FLIGHT} in flight"
    keep_plot("paid", bars(title, f"calls; more than {CALLS} is over the budget", paid))


def against_a_budget(contender: Contender, rows: int) -> Figures:
    """One run to its end, and one that is killed and taken up again, each with books of its own."""
    return Figures(once=_paid(contender, rows, killed=False), with_kill=_paid(contender, rows, killed=True))


def _paid(contender: Contender, rows: int, *, killed: bool) -> int:
    sandbox = {"runflow": {"latency_s": LATENCY_S}, "maskr": {"latency_s": LATENCY_S, **UNLIMITED}}
    with tempfile.TemporaryDirectory(prefix="budget-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", rows)
        with rehearsal(folder, **sandbox) as here, contender.seat(here, IN_FLIGHT) as seat:
            if killed:
                here.kill_when(seat.start(manifest), lambda: _half_is_spent(here))
            seat.run(manifest)
            return here.charges()


def _half_is_spent(here: Rehearsal) -> bool:
    return here.charges() >= CALLS // 2
