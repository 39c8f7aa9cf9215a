"""What a driver is told, and what it tells when it has ended: standard library only, for it runs in every peer's environment."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

DEFAULTS = {  # of the peers themselves, where they have one
    "budget_calls": None,
    "cooldown_s": 300.0,
    "per_minute": None,
    "pictures": False,
    "retries": 0,
    "shard": 10_000,
    "stop_without_balance": False,
}


def read_job():
    """`url`, `folder` (for the peer's own state), `in_flight`, `rows` (each `id` and `prompt`), and the options."""
    job = SimpleNamespace(**DEFAULTS | json.loads(Path(sys.argv[1]).read_text()))
    job.folder = Path(job.folder)
    job.rows = [json.loads(line) for line in Path(job.rows).read_text().splitlines()]
    return job


def tell(job, succeeded, failed=()):
    """Which rows the peer says have succeeded, and which it says have not."""
    told = {"succeeded": sorted(succeeded), "failed": sorted(failed)}
    (job.folder / "told.json").write_text(json.dumps(told))
