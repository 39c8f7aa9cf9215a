"""Credits for a third of the rows, 20 in flight: how many calls are made in vain, and what is said of the rows that were not edited."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.crash_safety import LATENCY_S, UNLIMITED
from tests.benchmarks.peers.comparing import bars, measured
from tests.benchmarks.peers.contenders import Contender, Ours, Theirs
from tests.benchmarks.peers.environments import ABL, CURATOR, IMG2DATASET, ONDINE, PREFECT
from tests.benchmarks.results import keep_plot
from tests.factories.catalogs import write_catalog
from tests.rehearsals import rehearsal

IN_FLIGHT = 20
QUICK = 4  # the first of them
CONTENDERS: tuple[Contender, ...] = (
    Ours(label="cleanplate", vendor="maskr", environment={"CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE": "1"}),
    Theirs(peer=ABL, setting="defaults"),
    Theirs(peer=ABL, setting="told to stop without balance", options={"stop_without_balance": True}),
    Theirs(peer=CURATOR, setting="defaults"),
    Theirs(peer=PREFECT, setting="no retries"),
    Theirs(peer=IMG2DATASET, setting="no retries"),
    Theirs(peer=ONDINE, setting="defaults"),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one run into an empty account."""

    paid: int
    useless: int  # calls that the vendor answered with 402
    succeeded: int

    @property
    def mislabelled(self) -> int:
        """Called delivered without a charge, or charged and not delivered."""
        return abs(self.succeeded - self.paid)


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, contenders = (60, CONTENDERS[:QUICK]) if quick else (300, CONTENDERS)
    print(
        f"| contender, {rows} rows, credits for {rows // 3} | paid | useless calls | said to be delivered | mislabelled |"
    )
    print("|---|---:|---:|---:|---:|")
    useless = {}
    for who, f in measured(contenders, lambda contender: into_an_empty_account(contender, rows)):
        print(f"| {who} | {f.paid} | {f.useless:,} | {f.succeeded} | {f.mislabelled} |", flush=True)
        useless[who] = f.useless
    title = f"Calls in vain after the credits ran out: {rows} rows, credits for {rows // 3}, {IN_FLIGHT} in flight"
    keep_plot("useless-calls", bars(title, "calls answered with 402, fewer is better", useless))


def into_an_empty_account(contender: Contender, rows: int) -> Figures:
    """One run."""
    with tempfile.TemporaryDirectory(prefix="credits-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", rows)
        vendor = {**UNLIMITED, "latency_s": LATENCY_S, "credits": rows}  # 3 credits a picture
        with rehearsal(folder, maskr=vendor) as here, contender.seat(here, IN_FLIGHT) as seat:
            told = seat.run(manifest)
            answers = here.sandbox.requests()["by_status"]["maskr"].values()
            useless = sum(counts.get("402", 0) for counts in answers)
            return Figures(paid=here.charges(), useless=useless, succeeded=len(told.succeeded))
