"""kill -9 of the whole process group at random points of a run: what is paid twice, lost, or left in doubt.

An asynchronous vendor (runflow: accepted, then polled) and a synchronous one (maskr, single requests: the answer is the result).
"""

import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal

LATENCY_S = 0.3
IN_FLIGHT = 50
VENDORS = {
    "runflow": {"runflow": {"latency_s": LATENCY_S}},
    "maskr": {"maskr": {"latency_s": LATENCY_S, "limits": ["100000/min"], "batch_limits": ["100000/min"]}},
}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one vendor."""

    vendor: str
    rows: int
    kills: int
    charges: int
    charged_twice: int
    lost: int
    states: dict[str, int]
    bill_usd: str
    statement_usd: str
    seconds: float


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, kills = (120, 3) if quick else (1000, 20)
    print("| vendor | rows | kills | charges | charged twice | rows lost | outcomes | bill | statement | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for vendor in VENDORS:
        f = measure(vendor, rows=rows, kills=kills)
        outcomes = ", ".join(f"{count} {state}" for state, count in sorted(f.states.items()))
        print(
            f"| {f.vendor} | {f.rows} | {f.kills} | {f.charges} | {f.charged_twice} | {f.lost} | {outcomes} "
            f"| ${f.bill_usd} | ${f.statement_usd} | {f.seconds:.0f} |"
        )


def measure(vendor: str, *, rows: int, kills: int, seed: int = 1) -> Figures:
    """One vendor, one run id, killed again and again, then taken to its end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", rows)
        with rehearsal(folder, **VENDORS[vendor]) as here:
            here.environment[f"CLEANPLATE_PROVIDERS__{vendor.upper()}__MAX_IN_FLIGHT"] = str(IN_FLIGHT)
            here.environment["CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE"] = "1"
            done = _kill_again_and_again(here, manifest, vendor, rows, kills, random.Random(seed))
            here.run(here.config(manifest, vendor))
            results = here.results()
            bill = here.sandbox.bill(entries=False)
            return Figures(
                vendor=vendor,
                rows=rows,
                kills=done,
                charges=here.charges(),
                charged_twice=here.charged_twice(),
                lost=rows - results.item_id.nunique() + int(results.item_id.duplicated().sum()),
                states=dict(Counter(results.state)),
                bill_usd=str(bill["usd"]),
                statement_usd=str(here.statement_usd()),
                seconds=time.monotonic() - began,
            )


def _kill_again_and_again(
    here: Rehearsal, manifest: Path, vendor: str, rows: int, kills: int, dice: random.Random
) -> int:
    points = sorted(dice.uniform(0, rows) for _ in range(kills))
    done = 0
    for point in points:
        process = here.start(here.config(manifest, vendor))
        done += here.kill_when(process, lambda point=point: here.charges() > point)
    return done
