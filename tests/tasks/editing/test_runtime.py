"""Whoever waits for a batch comes back, however the run ends."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from tasks.config import CleanupConfig, load_settings
from tasks.editing.errors import StoppedError
from tasks.editing.planned_run import PlannedRun
from tasks.editing.planning import plan_run
from tasks.editing.runtime import Runtime
from tasks.editing.runtimes import closing_runtime, runtime_of
from tests.factories.catalogs import write_catalog


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlannedRun:
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    config = CleanupConfig(manifest=str(write_catalog(tmp_path / "in", 1)), to=str(tmp_path / "out"), run_id="r")
    return plan_run(config, load_settings())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A batch's thread, as the task runner has many."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


async def batch(runtime: Runtime, begun: Event) -> str:
    begun.set()
    try:
        await runtime.switch.unless_stopped(asyncio.Event().wait())
    except StoppedError:
        return "settled"
    return "never"


def fail(plan: PlannedRun, pool: ThreadPoolExecutor, error: BaseException) -> "Future[str]":
    """The run breaks off above a batch that is under way."""
    begun = Event()
    with suppress(type(error)), closing_runtime(plan):
        runtime = runtime_of(plan)
        under_way = pool.submit(lambda: runtime.run(batch(runtime, begun)))
        begun.wait()
        raise error
    return under_way


def test_batches_settle_when_the_run_fails_above_them(plan: PlannedRun, pool: ThreadPoolExecutor) -> None:
    assert fail(plan, pool, ConnectionError("Prefect's server is gone")).result(timeout=20) == "settled"


def test_a_second_ctrl_c_cancels_them(plan: PlannedRun, pool: ThreadPoolExecutor) -> None:
    with pytest.raises(CancelledError):
        fail(plan, pool, KeyboardInterrupt()).result(timeout=20)


def test_a_batch_that_comes_too_late_does_not_begin_the_run_anew(plan: PlannedRun, pool: ThreadPoolExecutor) -> None:
    fail(plan, pool, KeyboardInterrupt())

    with pytest.raises(StoppedError):
        runtime_of(plan)
    with closing_runtime(plan):
        assert runtime_of(plan).plan is plan
