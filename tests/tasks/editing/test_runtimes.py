"""Runtimes of processes that joined a run: on the run's own ledger only, stopped by a word, closed when nothing more comes."""

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.error_codes import ErrorCode
from tasks.config import CleanupConfig, ConfigurationError, load_settings
from tasks.editing import runtimes
from tasks.editing.errors import StoppedError
from tasks.editing.opening import open_run
from tasks.editing.planned_run import PlannedRun
from tasks.editing.planning import plan_run
from tasks.editing.runtimes import closing_runtime, current_snapshot, runtime_of
from tasks.editing.stop_word import say_stop, stop_was_said
from tests.factories.catalogs import write_catalog


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlannedRun:
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    config = CleanupConfig(manifest=str(write_catalog(tmp_path / "in", 1)), to=str(tmp_path / "out"), run_id="r")
    return plan_run(config, load_settings())


@pytest.fixture
def travelled(plan: PlannedRun) -> Iterator[PlannedRun]:
    """As a worker gets it, of a run that was opened."""
    open_run(plan, load_settings())
    there: PlannedRun = pickle.loads(pickle.dumps(plan))  # noqa: S301 - our own
    with closing_runtime(there):
        yield there


def test_a_worker_with_another_ledger_refuses(
    travelled: PlannedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In books of its own, each worker would have the whole budget and the whole limit to itself."""
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", f"sqlite:///{tmp_path / 'another.sqlite3'}")

    with pytest.raises(ConfigurationError, match="ledger does not know run r"):
        runtime_of(travelled)


def test_a_shard_with_another_ledger_refuses(plan: PlannedRun) -> None:
    """Nobody opened the run in this one."""
    shard = plan_run(plan.config.model_copy(update={"shard": "1/1"}), load_settings())

    with closing_runtime(shard), pytest.raises(ConfigurationError, match="CLEANPLATE_LEDGER_URL"):
        runtime_of(shard)


def test_a_worker_hears_the_word_to_stop(travelled: PlannedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "LISTEN_EVERY_S", 0.01)
    runtime = runtime_of(travelled)
    say_stop(travelled)

    with pytest.raises(StoppedError) as stopped:
        runtime.run(runtime.switch.unless_stopped(_forever()))
    assert stopped.value.code is ErrorCode.INTERRUPTED


async def _forever() -> None:
    await asyncio.Event().wait()


def test_the_next_start_of_the_run_does_not_hear_it(plan: PlannedRun) -> None:
    say_stop(plan)
    again = plan_run(plan.config, load_settings())

    assert stop_was_said(plan)
    assert not stop_was_said(again)


def test_a_workers_runtime_is_closed_when_no_batch_comes_and_made_anew_for_the_next(
    travelled: PlannedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "LISTEN_EVERY_S", 0.01)
    monkeypatch.setattr(runtimes, "IDLE_S", 0.05)
    first = runtime_of(travelled)
    first._thread.join(timeout=60)  # its event loop's

    assert not first._thread.is_alive()
    assert runtime_of(travelled) is not first


def test_the_last_word_on_a_run_outlives_its_runtime(plan: PlannedRun) -> None:
    """A shard's beacon speaks once more after the runtime is closed."""
    with closing_runtime(plan):
        runtime_of(plan).progress.add_known(1, reused=1)
    snapshot = current_snapshot()

    assert snapshot is not None
    assert snapshot.done == 1
