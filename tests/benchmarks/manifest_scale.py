"""Ten million rows beside a hundred thousand: planning, and a run in which everything was delivered before.

The rows name a thousand different picture and mask pairs, edited once by an earlier run; each has its own item_id. Every
figure is of a process of its own. "memory" is the peak above what the imports take, in MB.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.factories.catalogs import write_catalog

PAIRS = 1000
PROLOGUE = """
import re, resource, sys, time, json
from pathlib import Path
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
def told(began, base, **more):
    # not getrusage: what it calls the peak may be that of the process that started this one
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
    print(json.dumps({"seconds": time.monotonic() - began, "memory_mb": peak - base, **more}))
path, to = sys.argv[1:]
"""
PROGRAMS = {
    "cleanplate, plan and first batch": """
from tasks.config import CleanupConfig, load_settings
from tasks.editing.planning import plan_run
import duckdb
base, began = resident(), time.monotonic()
plan = plan_run(CleanupConfig(manifest=path, to=to, run_id="plan"), load_settings())
first = plan.manifest.read(next(plan.batches()))
told(began, base, rows=plan.row_count)
""",
    "cleanplate, every batch reference": """
from tasks.config import CleanupConfig, load_settings
from tasks.editing.planning import plan_run
import duckdb
base, began = resident(), time.monotonic()
plan = plan_run(CleanupConfig(manifest=path, to=to, run_id="plan"), load_settings())
batches = sum(1 for _ in plan.batches())
told(began, base, rows=plan.row_count)
""",
    "cleanplate, run with all delivered": """
from tests.without_prefect import clean
from tasks.config import CleanupConfig
import duckdb
base, began = resident(), time.monotonic()
summary = clean(CleanupConfig(manifest=path, to=to, run_id="again"))
assert summary.reused == summary.rows, summary
told(began, base, rows=summary.rows)
""",
    "pandas, read_parquet": """
import pandas as pd
base, began = resident(), time.monotonic()
frame = pd.read_parquet(path)
told(began, base, rows=len(frame))
""",
    "pandas, read_parquet and batches of 50": """
import pandas as pd
base, began = resident(), time.monotonic()
frame = pd.read_parquet(path)
batches = [frame.iloc[n : n + 50] for n in range(0, len(frame), 50)]
told(began, base, rows=len(frame))
""",
    "pyarrow, streaming scan": """
import pyarrow.parquet as pq
base, began = resident(), time.monotonic()
rows = sum(len(batch) for batch in pq.ParquetFile(path).iter_batches(8192))
told(began, base, rows=rows)
""",
}


def main(quick: bool) -> None:
    """Print a Markdown table."""
    sizes = (20_000, 200_000) if quick else (100_000, 10_000_000)
    print("| rows | what | s | rows/s | memory, MB |\n|---|---|---|---|---|")
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="scale-") as name:
            folder = Path(name)
            environment = prepare(folder, rows)
            for what, program in PROGRAMS.items():
                f = measure(PROLOGUE + program, folder, environment)
                rate = f["rows"] / f["seconds"]
                print(f"| {rows:,} | {what} | {f['seconds']:.2f} | {rate:,.0f} | {f['memory_mb']:.0f} |", flush=True)


def prepare(folder: Path, rows: int) -> dict[str, str]:
    """The manifest, and the run of last night that delivered all of it. Returns the environment to measure in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEANPLATE_")}
    ledger = f"sqlite:///{folder / 'ledger.sqlite3'}"
    environment = {**kept, "CLEANPLATE_LEDGER_URL": ledger, "CLEANPLATE_PROVIDERS__LOCAL__ENGINE": "telea"}
    small = write_catalog(folder / "in", PAIRS, side=32)
    knobs = {"manifest": str(small), "to": str(folder / "out"), "run_id": "last-night"}
    subprocess.run(
        [sys.executable, "-m", "tests.without_prefect", json.dumps(knobs)], env=environment, check=True, timeout=600
    )
    write_manifest(folder / "large.parquet", folder / "in", rows)
    return environment


def write_manifest(path: Path, pictures: Path, rows: int, *, at_once: int = 200_000) -> None:
    """`rows` rows in row groups of `at_once`, each with its own id."""
    schema = pa.schema([(name, pa.string()) for name in ("item_id", "image_uri", "mask_uri")])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, at_once):
            numbers = np.arange(first, min(first + at_once, rows))
            pair = np.char.add(f"{pictures}/", (numbers % PAIRS).astype(str))
            ids = np.char.add("item-", np.char.zfill(numbers.astype(str), 8))
            columns = [ids, np.char.add(pair, ".jpg"), np.char.add(pair, "_mask.png")]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))


def measure(program: str, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Of one program in a process of its own."""
    began = time.monotonic()
    arguments = [sys.executable, "-c", program, str(folder / "large.parquet"), str(folder / "out")]
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=7200)
    if ended.returncode:
        raise RuntimeError(f"after {time.monotonic() - began:.0f} s:\n{ended.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures
