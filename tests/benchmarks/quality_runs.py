"""Runs of the real driver against the sandbox, without the vendors' rate limits: what the gate's benchmarks share."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from tests.rehearsals import Rehearsal, rehearsal

UNLIMITED = {"limits": ["100000/min"], "batch_limits": ["100000/min"]}


@contextmanager
def unlimited_rehearsal(**sandbox: Any) -> Iterator[Rehearsal]:
    """A sandbox whose Maskr has no limits worth mentioning, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="quality-") as name:
        folder = Path(name)
        with rehearsal(folder, **{"maskr": UNLIMITED, "modelslab": {"slots": 50}, **sandbox}) as here:
            yield here


def run_to_end(here: Rehearsal, manifest: Path, *providers: str, run_id: str = "r") -> pd.DataFrame:
    """Every row of the manifest; its results."""
    config = here.config(manifest, providers[0], run_id=run_id)
    here.run(config.model_copy(update={"providers": providers}))
    return here.results(run_id)


def billed_usd(here: Rehearsal) -> Decimal:
    """By the sandbox's own bill."""
    return Decimal(here.sandbox.bill(entries=False)["usd"])


def dollars(amounts: Any) -> Decimal:
    """The sum of a results column of money; rows that cost nothing have none."""
    return sum((Decimal(str(amount)) for amount in amounts if pd.notna(amount)), Decimal(0))
