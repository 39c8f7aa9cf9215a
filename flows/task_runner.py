"""Which engine runs the batches: threads here, or Dask workers anywhere (`CLEANPLATE_TASK_RUNNER`)."""

import os
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

MOST_BATCHES_IN_FLIGHT = 64  # as CleanupConfig bounds it; a waiting thread costs little


def configured_task_runner() -> TaskRunner[Any]:
    """`threads` (default), or `dask`, or `dask:tcp://scheduler:8786` for a cluster that is already there.

    Raises:
        ValueError: another word, or Dask is asked for and not installed.
    """
    kind, _, address = os.environ.get("CLEANPLATE_TASK_RUNNER", "threads").partition(":")
    if kind == "threads":
        return ThreadPoolTaskRunner(max_workers=MOST_BATCHES_IN_FLIGHT)
    if kind != "dask":
        raise ValueError(f"CLEANPLATE_TASK_RUNNER is '{kind}': write threads, dask or dask:tcp://host:port")
    try:
        from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - an extra that may not be installed
    except ImportError:
        raise ValueError("CLEANPLATE_TASK_RUNNER is dask: install cleanplate[dask]") from None
    if address:
        return DaskTaskRunner(address=address)
    workers = {"n_workers": os.cpu_count() or 1, "threads_per_worker": 16, "dashboard_address": None}
    return DaskTaskRunner(cluster_kwargs=workers)
