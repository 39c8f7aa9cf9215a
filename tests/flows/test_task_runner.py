"""Which engine a variable asks for. Ray is not part of the environment that runs the tests: a stand-in tells what it was given."""

import os
import sys
from types import ModuleType
from typing import Any

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from flows.task_runner import configured_task_runner, runs_here


def wanted(monkeypatch: pytest.MonkeyPatch, text: str) -> Any:
    monkeypatch.setenv("CLEANPLATE_TASK_RUNNER", text)
    return configured_task_runner()


def test_threads_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEANPLATE_TASK_RUNNER", raising=False)

    assert isinstance(configured_task_runner(), ThreadPoolTaskRunner)
    assert runs_here()


def test_a_dask_scheduler_is_named_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prefect_dask")

    assert wanted(monkeypatch, "dask:tcp://10.0.0.5:8786").address == "tcp://10.0.0.5:8786"
    assert wanted(monkeypatch, "dask").address is None
    assert not runs_here()


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_an_engine_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    for module in ("prefect_dask.task_runners", "ray"):
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ValueError, match=rf"install cleanplate\[{engine}\]"):
        wanted(monkeypatch, engine)


def test_another_word_is_refused_with_what_may_stand_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'spark': write threads, dask, dask:tcp"):
        wanted(monkeypatch, "spark")


@pytest.mark.parametrize(
    ("text", "address", "local"), [("ray", None, True), ("ray:10.0.0.5:6379", "10.0.0.5:6379", False)]
)
def test_ray_gets_a_cluster_of_this_machine_or_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch, text: str, address: str | None, local: bool
) -> None:
    """And tells nobody that it is used."""

    class Runner:
        def __init__(self, address: str | None = None, init_kwargs: dict[str, Any] | None = None) -> None:
            self.address, self.init_kwargs = address, init_kwargs or {}

    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "to be put back")
        monkeypatch.delenv(name)
    module = ModuleType("prefect_ray.task_runners")
    module.RayTaskRunner = Runner  # type: ignore[attr-defined]
    for name in ("ray", "prefect_ray"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "prefect_ray.task_runners", module)
    runner = wanted(monkeypatch, text)

    assert runner.address == address
    assert (runner.init_kwargs.get("address") == "local") == local
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
