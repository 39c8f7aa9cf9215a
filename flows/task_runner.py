"""Which engine runs the batches (`CLEANPLATE_TASK_RUNNER`): threads here, or the workers of a Dask or Ray cluster anywhere."""

import os
from multiprocessing import resource_tracker
from typing import Any, Final

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.shelter import sheltered_from_ctrl_c
from tasks.config.cleanup import MOST_BATCHES_IN_FLIGHT

CORES: Final = os.cpu_count() or 1


def configured_task_runner() -> TaskRunner[Any]:
    """`threads` (default), `dask` or `ray` for a cluster of this run's own, `dask:ADDRESS` or `ray:ADDRESS` for one that is there.

    Raises:
        ValueError: another word, or an engine is asked for that is not installed.
    """
    kind, _, address = _wanted().partition(":")
    try:
        match kind:
            case "threads":
                return ThreadPoolTaskRunner(max_workers=MOST_BATCHES_IN_FLIGHT)  # a waiting thread costs little
            case "dask":
                return _dask(address)
            case "ray":
                return _ray(address)
    except ImportError:
        raise ValueError(f"CLEANPLATE_TASK_RUNNER is {kind}: install cleanplate[{kind}]") from None
    raise ValueError(
        f"CLEANPLATE_TASK_RUNNER is '{kind}': write threads, dask, dask:tcp://host:8786, ray or ray:host:6379"
    )


def runs_here() -> bool:
    """Whether all batches are edited in this process."""
    return _wanted() == "threads"


def _wanted() -> str:
    return os.environ.get("CLEANPLATE_TASK_RUNNER", "threads")


def _dask(address: str) -> TaskRunner[Any]:
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - an extra that may not be installed

    if address:
        return DaskTaskRunner(address=address)
    workers = {"n_workers": CORES, "threads_per_worker": 16, "dashboard_address": None}
    return DaskTaskRunner(cluster_class=_local_dask, cluster_kwargs=workers)


def _local_dask(**knobs: Any) -> Any:
    from distributed import LocalCluster  # noqa: PLC0415 - as above

    resource_tracker.ensure_running()  # as it starts, it unblocks SIGINT for who starts it
    with sheltered_from_ctrl_c():
        return LocalCluster(**knobs)  # type: ignore[no-untyped-call]


def _ray(address: str) -> TaskRunner[Any]:
    """Ray gives each batch under way a process and one of the CPUs that its nodes were said to have."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:  # read when Ray is imported: a cluster of one machine, on loopback alone
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray  # noqa: F401, PLC0415 - prefect-ray itself would notice only when the run begins
    from prefect_ray.task_runners import RayTaskRunner  # noqa: PLC0415 - an extra that may not be installed

    own_cluster = {"address": "local", "num_cpus": CORES, "include_dashboard": False}
    runner: TaskRunner[Any] = RayTaskRunner(address=address) if address else RayTaskRunner(init_kwargs=own_cluster)
    return runner
