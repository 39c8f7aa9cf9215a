"""kill -9 of the whole process group at random points of a run: what is paid twice, lost, or left in doubt.

An asynchronous vendor (runflow: accepted, then polled) and a synchronous one (maskr, single requests: the answer is the result).
"""

import json
import random
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal

LATENCY_S = 0.3
IN_FLIGHT = 50
UNLIMITED = {"limits": ["100000/min"], "batch_limits": ["100000/min"]}
FIND = {"CLEANPLATE_PROVIDERS__RUNFLOW__FIND_QUERY": "client_ref.EQ:'{client_ref}'"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One vendor and what it can be asked."""

    label: str
    vendor: str
    sandbox: dict[str, Any]
    environment: dict[str, str]


CASES = (
    Case(
        label="runflow (asynchronous), asked for lost requests by client_ref",
        vendor="runflow",
        sandbox={"latency_s": LATENCY_S},
        environment=FIND,
    ),
    Case(
        label="runflow (asynchronous), never asked: the default",
        vendor="runflow",
        sandbox={"latency_s": LATENCY_S},
        environment={},
    ),
    Case(
        label="maskr (synchronous), single requests",
        vendor="maskr",
        sandbox={"latency_s": LATENCY_S, **UNLIMITED},
        environment={"CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE": "1"},
    ),
)


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, kills = (120, 3) if quick else (1000, 20)
    print(
        "| vendor | rows | kills | open in the ledger at the kills | charges | charged twice | rows lost | outcomes "
        "| bill | statement | held |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        print(measure(case, rows=rows, kills=kills), flush=True)


def measure(case: Case, *, rows: int, kills: int, seed: int = 1) -> str:
    """One vendor, one run id, killed again and again, then taken to its end; a line of the table."""
    with tempfile.TemporaryDirectory(prefix="crash-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", rows)
        with rehearsal(folder, **{case.vendor: case.sandbox}) as here:
            here.environment.update(case.environment)
            here.environment[f"CLEANPLATE_PROVIDERS__{case.vendor.upper()}__MAX_IN_FLIGHT"] = str(IN_FLIGHT)
            cut_off = _kill_again_and_again(here, manifest, case.vendor, rows, kills, random.Random(seed))
            here.run(here.config(manifest, case.vendor))
            results = here.results()
            lost = rows - results.item_id.nunique() + int(results.item_id.duplicated().sum())
            outcomes = ", ".join(f"{count} {state}" for state, count in sorted(Counter(results.state).items()))
            held = sum(Decimal(line["usd"]) for line in json.loads(here.cleanplate("ledger", "in-doubt", "--json")))
            return (
                f"| {case.label} | {rows} | {len(cut_off)} | {sum(cut_off)} | {here.charges()} | {here.charged_twice()} "
                f"| {lost} | {outcomes} | ${here.sandbox.bill(entries=False)['usd']} | ${here.statement_usd()} | ${held} |"
            )


def _kill_again_and_again(
    here: Rehearsal, manifest: Path, vendor: str, rows: int, kills: int, dice: random.Random
) -> list[int]:
    """How many attempts the killed process had open in the ledger, of each kill."""
    cut_off = []
    for point in sorted(dice.uniform(0, rows) for _ in range(kills)):
        process = here.start(here.config(manifest, vendor))
        if here.kill_when(process, lambda point=point: here.charges() > point):
            cut_off.append(_open_attempts(here))
    return cut_off


def _open_attempts(here: Rehearsal) -> int:
    """Of the process that came last."""
    last = "SELECT owner FROM owners ORDER BY opened_at DESC LIMIT 1"
    with closing(sqlite3.connect(here.folder / "ledger.sqlite3", timeout=30)) as connection:
        found = connection.execute(f"SELECT count(*) FROM attempts WHERE open = 1 AND owner = ({last})")  # noqa: S608 - both parts stand here
        return int(found.fetchone()[0])
