"""Starts a peer's driver, and writes the rows that it reads."""

import json
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.benchmarks.peers.environments import QUIET, Peer, python_with

DRIVERS = Path(__file__).parent / "drivers"


def start_driver(
    peer: Peer, folder: Path, job: Mapping[str, Any], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """A peer's driver in a process group of its own; what it tells when it ends is `folder`/told.json."""
    (folder / "told.json").unlink(missing_ok=True)
    (folder / "job.json").write_text(json.dumps({"folder": str(folder), **job}))
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [python_with(*peer.requirements), DRIVERS / peer.driver, folder / "job.json"],
            env={**environment, **QUIET},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def write_rows(manifest: Path, to: Path, *, by_content: bool) -> Path:
    """A line a row: its id, and a prompt that names its picture and its mask."""
    with to.open("w") as file:
        for row in pq.read_table(manifest).to_pylist():
            names = [Path(row["image_uri"]), Path(row["mask_uri"])]
            if by_content:
                names = [_named_by_content(name, to.parent / "content") for name in names]
            file.write(json.dumps({"id": row["item_id"], "prompt": " ".join(map(str, names))}) + "\n")
    return to


def _named_by_content(file: Path, folder: Path) -> Path:
    """A copy whose name changes with its bytes, and with nothing else."""
    folder.mkdir(exist_ok=True)
    copy = folder / f"{sha256(content := file.read_bytes()).hexdigest()}{file.suffix}"
    if not copy.exists():
        copy.write_bytes(content)
    return copy
