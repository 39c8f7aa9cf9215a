"""The next night: one row in a hundred edited, one in two hundred renamed, all in another order. How many are paid for again? (`money` asks ours at 10,000 rows.)"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.crash_safety import UNLIMITED
from tests.benchmarks.money import next_night
from tests.benchmarks.peers.comparing import bars, measured
from tests.benchmarks.peers.contenders import Contender, Ours, Theirs
from tests.benchmarks.peers.environments import ABL, CURATOR, IMG2DATASET
from tests.benchmarks.results import keep_plot
from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal

IN_FLIGHT = 50
QUICK = 4  # the first of the contenders
NAMES, HASHES = "pictures told by name", "pictures told by hash"
CONTENDERS: tuple[Contender, ...] = (
    Ours(label="cleanplate", vendor="maskr"),
    Theirs(peer=ABL, setting=NAMES),
    Theirs(peer=ABL, setting=HASHES, by_content=True),
    Theirs(peer=CURATOR, setting=HASHES, by_content=True),
    Theirs(peer=IMG2DATASET, setting=HASHES, by_content=True, options={"shard": 1000}),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of the second night."""

    paid: int
    served: int  # edited pictures that were sent, and so delivered as they are now


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, contenders = (200, CONTENDERS[:QUICK]) if quick else (2_000, CONTENDERS)
    edited = rows // 100
    print(
        f"| contender, {rows:,} rows, {edited} edited, {rows // 200} renamed, all reordered | paid again | edits missed |"
    )
    print("|---|---:|---:|")
    paid = {}
    for who, f in measured(contenders, lambda contender: second_night(contender, rows)):
        print(f"| {who} | {f.paid:,} | {edited - f.served} |", flush=True)
        paid[who] = f.paid
    title = f"Paid again the next night: {rows:,} rows of which {edited} were edited"
    keep_plot("paid-again", bars(title, f"charges; {edited} are due, fewer misses edits", paid))


def second_night(contender: Contender, rows: int) -> Figures:
    """Two runs."""
    with tempfile.TemporaryDirectory(prefix="delta-") as name:
        folder = Path(name)
        monday = write_catalog(folder / "in", rows)
        with rehearsal(folder, maskr=UNLIMITED) as here, contender.seat(here, IN_FLIGHT) as seat:
            seat.run(monday)
            charges, known = here.charges(), _pictures(here)
            seat.run(next_night(monday))
            return Figures(paid=here.charges() - charges, served=len(_pictures(here) - known))


def _pictures(here: Rehearsal) -> set[str]:
    """That were charged so far."""
    return {entry["picture_sha256"] for entry in here.sandbox.bill()["entries"] if entry["kind"] == "charge"}
