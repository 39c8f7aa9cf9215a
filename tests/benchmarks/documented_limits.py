"""Images a minute at Maskr's documented limits, by the real driver against the sandbox in a process of its own.

60 single and 30 batch requests in any minute, the minute scaled where a line says so; tiny pictures, SQLite ledger. 5 % of
the batches hold a picture that fails, 5 % of them come back in another order. Each row's picture is compared with the one
that its own source must become.
"""

import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tasks.providers.sandbox.edits import inpaint
from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal

SIDE = 48
SINGLES, BATCHES = 60, 30  # requests a minute: seed 001
LATENCY_S = 4.0  # of a request in the unscaled minute
FAILING_BATCHES = 0.05
LOST_BY_JPEG = 8  # of 255, the mean over a picture; another row's picture differs by about 40


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One line of the table."""

    rows: int
    batch_size: int = 50
    minute_s: float = 60.0  # what a minute takes


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What it came to. Rates are a (scaled) minute's."""

    images_per_minute: float
    seconds: float
    least_seconds: float  # before which the limits do not let the last row start
    busiest_batches: int
    rate_limited: int
    failed_items: int
    right: int
    charged_twice: int
    cpu_ms: float  # of the driver, start-up and all, a row


def main(quick: bool) -> None:
    """Print a Markdown table."""
    settings = [Setting(rows=700, batch_size=10, minute_s=12)] if quick else [Setting(rows=3000), Setting(rows=6000)]
    print(
        "| rows | batch of | a minute takes | images a minute | of the ideal | seconds | the last may start after |",
        end="",
    )
    print(
        " batch requests in the busiest minute | 429s | pictures that failed at first | rows right | charged twice | CPU, ms a row |"
    )
    print("|" + "---|" * 13)
    for one in settings:
        f, ideal = measure(one), BATCHES * one.batch_size
        print(
            f"| {one.rows:,} | {one.batch_size} | {one.minute_s:g} s | {f.images_per_minute:,.0f} "
            f"| {f.images_per_minute / ideal:.2f} of {ideal:,} | {f.seconds:.1f} | {f.least_seconds:.0f} "
            f"| {f.busiest_batches} | {f.rate_limited} | {f.failed_items} | {f.right:,} | {f.charged_twice} | {f.cpu_ms:.0f} |",
            flush=True,
        )


def measure(setting: Setting) -> Figures:
    """One run of the real driver in a child process."""
    window = f"{setting.minute_s:g}s"
    share = 1 - (1 - FAILING_BATCHES) ** (1 / setting.batch_size)
    faults = [
        {"kind": "item_failure", "vendor": "maskr", "endpoint": "batch", "share": share},
        {"kind": "batch_shuffled", "vendor": "maskr", "share": FAILING_BATCHES},
    ]
    maskr = {
        "limits": [f"{SINGLES}/{window}"],
        "batch_limits": [f"{BATCHES}/{window}"],
        "latency_s": LATENCY_S * setting.minute_s / 60,
    }
    with tempfile.TemporaryDirectory(prefix="limits-") as name:
        folder = Path(name)
        manifest = write_catalog(folder / "in", setting.rows, side=SIDE)
        with rehearsal(folder, maskr=maskr, faults=faults) as here:
            here.environment["CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE"] = str(setting.batch_size)
            before = _cpu_s()
            here.run(here.config(manifest, "maskr", batches_in_flight=64))
            return _figures(setting, here, cpu_s=_cpu_s() - before)


def _figures(setting: Setting, here: Rehearsal, *, cpu_s: float) -> Figures:
    results = here.results()
    seconds = (results.finished_at.max() - results.started_at.min()).total_seconds()
    traffic = here.sandbox.requests()
    lane = next(lane for lane in traffic["lanes"] if lane["endpoint"] == "batch")
    at_once = SINGLES + BATCHES * setting.batch_size
    return Figures(
        images_per_minute=setting.rows / seconds * setting.minute_s,
        seconds=seconds,
        least_seconds=(setting.rows - 1) // at_once * setting.minute_s,
        busiest_batches=lane["windows"][0]["most_arrived"],
        rate_limited=traffic["rate_limited"],
        failed_items=here.sandbox.faults()["injected"].get("item_failure", 0),
        right=sum(_is_right(row) for row in results.itertuples() if row.state == "succeeded"),
        charged_twice=here.charged_twice(),
        cpu_ms=1000 * cpu_s / setting.rows,
    )


def _is_right(row: Any) -> bool:
    """Whether this row got its own picture: as the sandbox fills it, within what JPEG loses."""
    source = cv2.imread(row.image_uri)
    mask = cv2.imread(row.mask_uri, cv2.IMREAD_GRAYSCALE)
    expected = inpaint(np.asarray(source, np.uint8), np.asarray(mask, np.uint8))
    delivered = cv2.imread(row.output_uri)
    return delivered is not None and float(np.abs(delivered.astype(int) - expected.astype(int)).mean()) < LOST_BY_JPEG


def _cpu_s() -> float:
    """Of child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
