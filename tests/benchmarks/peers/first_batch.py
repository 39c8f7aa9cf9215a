"""Two million rows up to the first batch that could be sent: seconds, memory beyond the imports, and what is written to disk on the way."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.manifest_scale import write_manifest
from tests.benchmarks.peers.comparing import bars, measured
from tests.benchmarks.peers.driving import DRIVERS
from tests.benchmarks.peers.environments import IMG2DATASET, QUIET, python_with
from tests.benchmarks.results import keep_plot
from tests.services import ROOT

WITHIN_S = 600


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A way to read a manifest; `way` is that of the driver."""

    label: str
    way: str
    requirements: tuple[str, ...] = ()
    ours: bool = False

    def __str__(self) -> str:
        """As it stands in the tables."""
        return self.label


READERS = (
    Reader(label="cleanplate: planned, first 50 rows", way="ours", ours=True),
    Reader(label="pandas: read_parquet, first 50 rows", way="pandas"),
    Reader(label=f"{IMG2DATASET}: its first shard", way="img2dataset", requirements=IMG2DATASET.requirements),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one process."""

    seconds: float
    memory_mb: float
    written_mb: float


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows = 200_000 if quick else 2_000_000
    print(f"| reader, {rows:,} rows | s to the first batch | memory, MB | written to disk, MB |\n|---|---:|---:|---:|")
    memory = {}
    with tempfile.TemporaryDirectory(prefix="first-") as name:
        manifest = Path(name) / "large.parquet"
        write_manifest(manifest, Path("/catalog/pictures"), rows)
        for who, f in measured(READERS, lambda reader: of_one(reader, manifest)):
            print(f"| {who} | {f.seconds:.2f} | {f.memory_mb:.0f} | {f.written_mb:.0f} |", flush=True)
            memory[who] = round(f.memory_mb)
    keep_plot(
        "memory",
        bars(f"Memory up to the first batch of {rows:,} rows", "MB beyond the imports, less is better", memory),
    )


def of_one(reader: Reader, manifest: Path) -> Figures:
    """In a process and a folder of its own."""
    python = python_with(*reader.requirements)
    with tempfile.TemporaryDirectory(prefix="reader-") as folder:
        environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT) if reader.ours else "", "HOME": folder}
        environment["CLEANPLATE_LEDGER_URL"] = f"sqlite:///{folder}/ledger.sqlite3"
        ended = subprocess.run(
            [python, DRIVERS / "first_batch.py", reader.way, manifest, folder],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )
    if ended.returncode:
        raise RuntimeError(ended.stderr[-3000:])
    return Figures(**json.loads(ended.stdout.strip().splitlines()[-1]))
