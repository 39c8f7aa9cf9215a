"""kill -9 of the whole process group at half of the rows, then a rerun to the end: what was charged twice, by the sandbox's own bill."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.crash_safety import FIND, IN_FLIGHT, LATENCY_S, UNLIMITED
from tests.benchmarks.peers.comparing import bars, measured
from tests.benchmarks.peers.contenders import Contender, Ours, Theirs
from tests.benchmarks.peers.environments import ABL, CURATOR, IMG2DATASET, ONDINE, PREFECT
from tests.benchmarks.results import keep_plot
from tests.factories.catalogs import write_catalog
from tests.rehearsals import rehearsal

SANDBOX = {"runflow": {"latency_s": LATENCY_S}, "maskr": {"latency_s": LATENCY_S, **UNLIMITED}}
SINGLY = {"CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE": "1"}
QUICK = 4  # the first of them
CONTENDERS: tuple[Contender, ...] = (
    Ours(label="cleanplate, Runflow, asked for lost requests", vendor="runflow", environment=FIND),
    Ours(label="cleanplate, Maskr, which cannot be asked", vendor="maskr", environment=SINGLY),
    Theirs(peer=ABL, setting="checkpoint with fsync"),
    Theirs(peer=CURATOR, setting="its cache"),
    Theirs(peer=PREFECT, setting="persisted results"),
    Theirs(peer=ONDINE, setting="checkpoint every 50 rows"),
    Theirs(peer=IMG2DATASET, setting="shards of 100 rows", options={"shard": 100}),
    Theirs(peer=IMG2DATASET, setting="default shards of 10,000"),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one kill and one rerun."""

    charges: int
    twice: int
    in_doubt: int
    missing: int  # neither delivered nor said to be in doubt


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, contenders = (200, CONTENDERS[:QUICK]) if quick else (1000, CONTENDERS)
    print("| contender | rows | charges | charged twice | in doubt | rows missing |\n|---|---:|---:|---:|---:|---:|")
    twice = {}
    for who, f in measured(contenders, lambda contender: killed_at_half(contender, rows)):
        print(f"| {who} | {rows:,} | {f.charges:,} | {f.twice} | {f.in_doubt} | {f.missing} |", flush=True)
        twice[who] = f.twice
    title = f"Charged twice after kill -9: {rows:,} rows, {IN_FLIGHT} in flight, killed at half, run again"
    keep_plot("charged-twice", bars(title, "charges beyond one a row, fewer is better", twice))


def killed_at_half(contender: Contender, rows: int) -> Figures:
    """One kill, one rerun."""
    with tempfile.TemporaryDirectory(prefix="kill-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", rows)
        with rehearsal(folder, **SANDBOX) as here, contender.seat(here, IN_FLIGHT) as seat:
            killed = here.kill_when(seat.start(manifest), lambda: here.charges() >= rows // 2)
            assert killed, "it ended before it could be killed"
            told = seat.run(manifest)
            return Figures(
                charges=here.charges(),
                twice=here.charged_twice(),
                in_doubt=told.in_doubt,
                missing=rows - len(told.succeeded) - told.in_doubt,
            )
