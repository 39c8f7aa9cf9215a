"""Ten million rows beside a hundred thousand: planning, and a run in which everything was delivered before.

Two shapes. "repeated": the rows name a thousand different picture and mask pairs, edited once by an earlier run; "distinct":
every row has a picture, a mask and a delivered file of its own, and the ledger knows all of them. Each row has its own item_id.
Every figure is of a process of its own. "memory" is the peak above what the imports take, in MB; pandas counts among the
imports, because pyarrow imports it at its first array.
"""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.ids import content_key
from manifests.items import Operation
from manifests.schemas import OUTCOME_SCHEMA
from tasks.credits import Delivery, FileVersion, Ledger
from tasks.editing.storage import Storage
from tests.factories.catalogs import write_catalog

PAIRS = 1000
COLUMNS = pa.schema([(name, pa.string()) for name in ("item_id", "image_uri", "mask_uri")])
METRICS = [name.removeprefix("quality_") for name in OUTCOME_SCHEMA.names if name.startswith("quality_")]
PROLOGUE = """
import re, resource, sys, time, json
from pathlib import Path
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
def told(began, base, **more):
    # not getrusage: what it calls the peak may be that of the process that started this one
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
    took = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    print(json.dumps({**took, "memory_mb": peak - base, **more}), flush=True)
path, to = sys.argv[1:]
"""
PROGRAMS = {
    "cleanplate, plan and first batch": """
from tasks.config import CleanupConfig, load_settings
from tasks.editing.planning import plan_run
import duckdb, pandas
base, began, cpu = resident(), time.monotonic(), time.process_time()
plan = plan_run(CleanupConfig(manifest=path, to=to, run_id="plan"), load_settings())
first = plan.manifest.read(next(plan.batches()))
told(began, base, rows=plan.row_count)
""",
    "cleanplate, every batch reference": """
from tasks.config import CleanupConfig, load_settings
from tasks.editing.planning import plan_run
import duckdb, pandas
base, began, cpu = resident(), time.monotonic(), time.process_time()
plan = plan_run(CleanupConfig(manifest=path, to=to, run_id="plan"), load_settings())
batches = sum(1 for _ in plan.batches())
told(began, base, rows=plan.row_count)
""",
    "cleanplate, run with all delivered, report included": """
from tests.without_prefect import clean
from tasks.config import CleanupConfig
from tasks.report.page import write_report
import duckdb, pandas
base, began, cpu = resident(), time.monotonic(), time.process_time()
summary = clean(CleanupConfig(manifest=path, to=to, run_id="again"))
assert summary.reused == summary.rows, summary
write_report(f"{to}/run_id=again")
told(began, base, rows=summary.rows)
""",
    "pandas, read_parquet": """
import pandas as pd
base, began, cpu = resident(), time.monotonic(), time.process_time()
frame = pd.read_parquet(path)
told(began, base, rows=len(frame))
""",
    "pandas, read_parquet and batches of 50": """
import pandas as pd
base, began, cpu = resident(), time.monotonic(), time.process_time()
frame = pd.read_parquet(path)
batches = [frame.iloc[n : n + 50] for n in range(0, len(frame), 50)]
told(began, base, rows=len(frame))
""",
    "pyarrow, streaming scan": """
import pyarrow.parquet as pq
base, began, cpu = resident(), time.monotonic(), time.process_time()
rows = sum(len(batch) for batch in pq.ParquetFile(path).iter_batches(8192))
told(began, base, rows=rows)
""",
}


SWEEP = """
from tasks.config import CleanupConfig, load_settings
from tasks.editing.planning import plan_run
from tasks.editing.runtimes import closing_runtime, runtime_of
from tasks.editing.sweep import batches_with_work
from manifests.run_folder import RunFolder
import os, duckdb, pandas
def sweep():
    plan = plan_run(CleanupConfig(manifest=path, to=to, run_id="killed"), load_settings())
    with closing_runtime(plan):
        list(batches_with_work(plan, lambda: runtime_of(plan)))
"""
TAKEN_UP = """
write = RunFolder.write_stretch
def first_new_rows(folder, batches, table, outcomes):
    write(folder, batches, table, outcomes)
    told(began, base, rows=batches[0].first_row)
    os._exit(0)
RunFolder.write_stretch = first_new_rows
base, began, cpu = resident(), time.monotonic(), time.process_time()
sweep()
"""


def main(quick: bool) -> None:
    """Print a Markdown table."""
    sizes, distinct = ((20_000, 200_000), 5_000) if quick else ((100_000, 10_000_000), 200_000)
    print("| rows | what | s | CPU, s | rows/s | memory, MB |\n|---|---|---|---|---|---|")
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="scale-") as name:
            folder = Path(name)
            environment = prepare(folder, rows)
            for what, program in PROGRAMS.items():
                show(f"{rows:,}", what, measure(PROLOGUE + program, folder, environment))
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        environment = prepare(folder, sizes[1])
        stop_in_the_middle(folder, environment, sizes[1])
        show(
            "",
            "taken up after kill -9: to the first new rows",
            measure(PROLOGUE + SWEEP + TAKEN_UP, folder, environment),
        )
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        environment = prepare_distinct(folder, distinct)
        what = "cleanplate, run with all delivered, report included"
        show(f"{distinct:,} distinct", what, measure(PROLOGUE + PROGRAMS[what], folder, environment))


def show(rows: str, what: str, f: dict[str, Any]) -> None:
    """One line of the table."""
    rate = format(f["rows"] / f["seconds"], ",.0f") if rows else ""
    print(
        f"| {rows or format(f['rows'], ',') + ' done'} | {what} | {f['seconds']:.2f} | {f['cpu_s']:.2f} | {rate} | {f['memory_mb']:.0f} |",
        flush=True,
    )


def surroundings(folder: Path) -> dict[str, str]:
    """The environment to measure in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEANPLATE_")}
    ledger = f"sqlite:///{folder / 'ledger.sqlite3'}"
    return {**kept, "CLEANPLATE_LEDGER_URL": ledger, "CLEANPLATE_PROVIDERS__LOCAL__ENGINE": "telea"}


def prepare(folder: Path, rows: int) -> dict[str, str]:
    """The manifest, and the run of last night that delivered all of it. Returns the environment to measure in."""
    environment = surroundings(folder)
    small = write_catalog(folder / "in", PAIRS, side=32)
    knobs = {"manifest": str(small), "to": str(folder / "out"), "run_id": "last-night"}
    subprocess.run(
        [sys.executable, "-m", "tests.without_prefect", json.dumps(knobs)], env=environment, check=True, timeout=600
    )
    write_manifest(folder / "large.parquet", folder / "in", rows)
    return environment


def prepare_distinct(folder: Path, rows: int) -> dict[str, str]:
    """Small files, and a ledger that knows them as a run that has edited them would have left it."""
    environment = surroundings(folder)
    for place in ("in", "out"):
        (folder / place).mkdir()
    names = [
        (f"item-{n:08d}", f"{folder}/in/{n}.jpg", f"{folder}/in/{n}.png", f"{folder}/out/{n}.jpg") for n in range(rows)
    ]
    for _, *files in names:
        for file in files:
            Path(file).write_text(file)
    table = pa.table([*zip(*(row[:3] for row in names), strict=True)], schema=COLUMNS)
    pq.write_table(table, folder / "large.parquet", row_group_size=100_000)
    asyncio.run(fill_ledger(environment["CLEANPLATE_LEDGER_URL"], names))
    return environment


async def fill_ledger(url: str, names: Sequence[Sequence[str]], *, at_once: int = 10_000) -> None:
    """With the hash of every source, and a delivery for every row."""
    storage = Storage()
    async with await Ledger.open(url) as ledger:
        for first in range(0, len(names), at_once):
            some = names[first : first + at_once]
            facts = await storage.look_at_many([file for row in some for file in row[1:3]])
            known = {FileVersion(uri=uri, version=str(one.version)): sha256(uri) for uri, one in facts.items()}
            await ledger.remember_fingerprints(known)
            await asyncio.gather(*(ledger.record_delivery(delivered(*row[1:])) for row in some))


def delivered(image: str, mask: str, output: str) -> Delivery:
    """As if the pair had been edited; each file holds its own name."""
    key = content_key(image_sha256=sha256(image), mask_sha256=sha256(mask), operation=Operation.OBJECT_REMOVAL)
    quality = {name: len(output) / (place + 3) + int(sha256(output)[:3], 16) for place, name in enumerate(METRICS)}
    return Delivery(
        content_key=key,
        output_uri=output,
        sha256=sha256(output),
        width=32,
        height=32,
        media_type="image/jpeg",
        provider="local",
        usd=Decimal(0),
        quality=quality,
    )


def sha256(text: str) -> str:
    """Hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def stop_in_the_middle(folder: Path, environment: dict[str, str], rows: int) -> None:
    """Kill a run when it has written about half of what there is to write."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + SWEEP + "sweep()", str(folder / "large.parquet"), str(folder / "out")],
        env=environment,
    )
    stretches = folder / "out" / "run_id=killed" / "_parts" / "round-0" / "stretches"
    while process.poll() is None and len(list(stretches.glob("*.parquet"))) < rows / 20_000 / 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def write_manifest(path: Path, pictures: Path, rows: int, *, at_once: int = 200_000) -> None:
    """`rows` rows in row groups of `at_once`, each with its own id."""
    with pq.ParquetWriter(path, COLUMNS) as writer:
        for first in range(0, rows, at_once):
            numbers = np.arange(first, min(first + at_once, rows))
            pair = np.char.add(f"{pictures}/", (numbers % PAIRS).astype(str))
            ids = np.char.add("item-", np.char.zfill(numbers.astype(str), 8))
            columns = [ids, np.char.add(pair, ".jpg"), np.char.add(pair, "_mask.png")]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=COLUMNS))


def measure(program: str, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Of one program in a process of its own."""
    began = time.monotonic()
    arguments = [sys.executable, "-c", program, str(folder / "large.parquet"), str(folder / "out")]
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=7200)
    if ended.returncode:
        raise RuntimeError(f"after {time.monotonic() - began:.0f} s:\n{ended.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures
