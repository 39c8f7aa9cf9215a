"""What runs are called on Prefect's pages: their run id or their moment, instead of two words drawn at random."""

import contextlib
from datetime import UTC, datetime
from typing import Any

from prefect.runtime import flow_run

from tasks.config import CleanupConfig


def scheduled_start() -> datetime:
    """The moment that this run is for: dates in addresses mean it, however late the run begins."""
    return flow_run.scheduled_start_time or datetime.now(UTC)


def cleanup_run_name() -> str:
    """`nightly-2026-11-20`, `nightly-2026-11-20 shard 2/8`, `nightly-2026-11-20 retry`; `catalog 2026-11-20 13:15` without a run id."""
    given: dict[str, Any] = flow_run.parameters
    config = CleanupConfig.model_validate(given["config"])
    with contextlib.suppress(ValueError):  # planning says what is wrong with it
        config = config.at(scheduled_start())
    stem = config.manifest.rstrip("/").rpartition("/")[2].partition(".")[0]
    words = [config.run_id or f"{stem} {_moment()}"]
    if config.shard is not None:
        words.append(f"shard {config.shard}")
    if given.get("retry"):
        words.append("retry")
    return " ".join(words)


def dated_run_name() -> str:
    """`ledger-reconcile 2026-11-20 06:45`."""
    return f"{flow_run.flow_name} {_moment()}"


def _moment() -> str:
    return f"{scheduled_start().astimezone(UTC):%Y-%m-%d %H:%M}"
