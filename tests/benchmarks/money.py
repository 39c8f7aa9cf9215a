"""Three ways to lose money, at full size and by the sandbox's own bill: a budget, an empty account, a changed catalog.

The tests beside `tests/tasks/editing/test_money.py` show the same at a size that a suite can afford.
"""

import random
import tempfile
from decimal import Decimal
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.factories.catalogs import write_catalog
from tests.rehearsals import Rehearsal, rehearsal

UNLIMITED = {"limits": ["1000000/min"], "batch_limits": ["1000000/min"]}
FIND = "client_ref.EQ:'{client_ref}'"


def main(quick: bool) -> None:
    """Print a Markdown table."""
    print("| what | expected | by the bill | outcomes |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="money-") as folder:
        for show in (budget, credits_run_out, changed_catalog):
            here = Path(folder) / show.__name__
            here.mkdir()
            show(here, quick)


def budget(folder: Path, quick: bool) -> None:
    """A budget of 20 calls, four processes, 50 in flight, and a kill -9 in the middle."""
    rows = 100 if quick else 200
    manifest = write_catalog(folder / "in", rows)
    for killed in (False, True):
        with rehearsal(folder, ledger_url=f"sqlite:///{folder}/{killed}.sqlite3", runflow={"latency_s": 0.2}) as here:
            here.environment |= {
                "CLEANPLATE_PROVIDERS__RUNFLOW__FIND_QUERY": FIND,
                "CLEANPLATE_PROVIDERS__RUNFLOW__MAX_IN_FLIGHT": "50",
            }
            configs = [
                here.config(manifest, "runflow", budget_usd=20 * Decimal("0.48"), to=f"{folder}/{killed}-{n}")
                for n in range(4)
            ]
            processes = [here.start(config) for config in configs]
            if killed:
                here.kill_when(processes[0], lambda here=here: here.charges() >= 5)
            for process in processes[1:] if killed else processes:
                process.communicate(timeout=300)
            here.run(configs[0])
            how = ", one process killed" if killed else ""
            print(
                f"| budget of 20 calls, {rows} rows, 50 in flight, 4 processes{how} | 20 paid "
                f"| {here.charges()} paid, {here.charged_twice()} twice | |",
                flush=True,
            )


def credits_run_out(folder: Path, quick: bool) -> None:
    """Credits end after a third of the rows, 20 in flight; a top-up and a retry finish the rest."""
    rows = 60 if quick else 300
    manifest = write_catalog(folder / "in", rows)
    with rehearsal(folder, maskr={**UNLIMITED, "credits": rows}) as here:  # 3 credits a picture
        here.environment |= {
            "CLEANPLATE_PROVIDERS__MASKR__MAX_IN_FLIGHT": "20",
            "CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE": "1",
        }
        config = here.config(manifest, "maskr")
        here.run(config)
        answers = here.sandbox.requests()["by_status"]["maskr"].values()
        useless = sum(counts.get("402", 0) for counts in answers)
        print(
            f"| credits for {rows // 3} of {rows} rows, 20 in flight | ≤ 20 useless calls, {rows - rows // 3} deferred "
            f"| {here.charges()} paid, {useless} useless calls | {_states(here)} |",
            flush=True,
        )
        here.sandbox.add_credits("maskr", 3 * rows)
        here.cleanplate("ledger", "top-up", "maskr", str(3 * rows))
        here.run(config, "--retry")
        print(f"| then a top-up and `retry` | {rows} paid | {here.charges()} paid | {_states(here)} |", flush=True)


def changed_catalog(folder: Path, quick: bool) -> None:
    """The next night one in a hundred is edited, one in two hundred renamed, and all stand in another order."""
    rows = 400 if quick else 10_000
    manifest = write_catalog(folder / "in", rows)
    with rehearsal(folder, maskr=UNLIMITED) as here:
        here.run(here.config(manifest, "maskr", run_id="monday"))
        monday = here.charges()
        tuesday = next_night(manifest)

        here.run(here.config(tuesday, "maskr", run_id="tuesday"))

        print(
            f"| {rows:,} rows; {rows // 100} edited, {rows // 200} renamed, all reordered | {rows // 100} paid "
            f"| {here.charges() - monday} paid | {_states(here, 'tuesday')}, "
            f"{int(here.results('tuesday').reused.sum())} of them reused |",
            flush=True,
        )


def next_night(manifest: Path) -> Path:
    """Edit, rename and reorder the pictures of a manifest; the manifest that lists them as they are then."""
    table = pq.read_table(manifest).to_pylist()
    rows = len(table)
    for row in table[: rows // 100]:
        picture = cv2.imread(row["image_uri"])
        cv2.imwrite(row["image_uri"], np.roll(picture, 5, axis=1))
    for number, row in enumerate(table[rows // 2 : rows // 2 + rows // 200]):
        image = Path(row["image_uri"])
        row["image_uri"] = str(image.rename(image.with_name(f"renamed-{number}.jpg")))
    random.Random(1).shuffle(table)
    pq.write_table(pa.Table.from_pylist(table), manifest.with_name("tuesday.parquet"))
    return manifest.with_name("tuesday.parquet")


def _states(here: Rehearsal, run_id: str = "r") -> str:
    counts = here.results(run_id).state.value_counts().sort_index()
    return ", ".join(f"{count} {state}" for state, count in counts.items())
