"""The cheapest of three providers dies for a third of a run and comes back: rows, money, time, and calls wasted on it meanwhile.

The real driver in a child process against the sandbox in another, at the product's own breaker settings. The outage (503 to
everything, downloads too) begins once a third of the rows is charged and lasts a third of the time that the calm run took.
"""

import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal

CHEAP, OTHERS = "maskr", ("modelslab", "runflow")
SANDBOX: dict[str, Any] = {
    "maskr": {"limits": ["20/5s"], "latency_s": 1.0},  # 4 rows a second at $0.03
    "modelslab": {"processing_s": 2.5, "usd_per_image": "0.10"},  # 5 slots: 2 rows a second at $0.10
    "runflow": {"latency_s": 5.0},  # 10 at once: 2 rows a second at $0.48
}
IN_FLIGHT = {"CLEANPLATE_PROVIDERS__RUNFLOW__MAX_IN_FLIGHT": "10", "CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE": "1"}
ENDPOINTS = ("submit", "download")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one run."""

    states: dict[str, int]
    seconds: float  # from the first row's start to the last one's end
    usd: Decimal
    by_provider: dict[str, int]
    wasted: int  # charged requests that met the outage
    downloads_met: int  # free ones that did
    charged_twice: int


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows = 120 if quick else 600
    print(
        "| policy | deadline | outage | rows | by provider | US dollars | extra | seconds | calls wasted while down ",
        end="",
    )
    print("| free downloads that met it | charged twice |")
    print("|" + "---|" * 11)
    for policy, deadline in (
        (("fastest", None),) if quick else (("cheapest", None), ("cheapest", "120s"), ("fastest", None))
    ):
        calm = measure(rows, policy, deadline, lasting_s=0)
        _line(policy, deadline, 0, calm, extra=Decimal(0))
        lasting_s = calm.seconds / 3
        hit = measure(rows, policy, deadline, lasting_s=lasting_s)
        _line(policy, deadline, lasting_s, hit, extra=hit.usd - calm.usd)


def _line(policy: str, deadline: str | None, lasting_s: float, f: Figures, *, extra: Decimal) -> None:
    outage = f"{lasting_s:.0f} s" if lasting_s else "none"
    print(
        f"| {policy} | {deadline or 'none'} | {outage} | {_said(f.states)} | {_said(f.by_provider)} | {f.usd:.2f} "
        f"| {extra:+.2f} | {f.seconds:.0f} | {f.wasted} | {f.downloads_met} | {f.charged_twice} |",
        flush=True,
    )


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def measure(rows: int, policy: str, deadline: str | None, *, lasting_s: float) -> Figures:
    """One run; with an outage of so many seconds, unless 0."""
    with tempfile.TemporaryDirectory(prefix="outage-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", rows)
        with rehearsal(folder, **SANDBOX) as here:
            here.environment.update(IN_FLIGHT)
            knobs: dict[str, Any] = {
                "providers": (CHEAP, *OTHERS),
                "policy": policy,
                "deadline": deadline,
                "batches_in_flight": 16,
            }
            process = here.start(here.config(manifest, CHEAP, **knobs))
            if lasting_s:
                _begin_outage(here, process, rows // 3, lasting_s)
            _, complaints = process.communicate(timeout=1800)
            if process.returncode not in {0, 3}:
                raise RuntimeError(complaints.decode()[-3000:])
            return _figures(here)


def _begin_outage(here: Rehearsal, process: "subprocess.Popen[bytes]", charges: int, lasting_s: float) -> None:
    while here.charges() < charges:
        if process.poll() is not None:
            raise RuntimeError("the run ended before the outage")
        time.sleep(0.05)
    here.sandbox.faults(
        *({"kind": "outage", "vendor": CHEAP, "endpoint": one, "until_s": lasting_s} for one in ENDPOINTS)
    )


def _figures(here: Rehearsal) -> Figures:
    results = here.results()
    met = {fault["endpoint"]: fault["injected"] for fault in here.sandbox.faults()["standing"]}
    return Figures(
        states=dict(Counter(results.state)),
        seconds=(results.finished_at.max() - results.started_at.min()).total_seconds(),
        usd=Decimal(here.sandbox.bill(entries=False)["usd"]),
        by_provider=dict(Counter(results.provider.dropna())),
        wasted=met.get("submit", 0),
        downloads_met=met.get("download", 0),
        charged_twice=here.charged_twice(),
    )
