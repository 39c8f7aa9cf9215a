"""Shards on a real server, without a worker: the tests say what workers would have said."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Running, State

from flows.shard_pool import ShardPool
from flows.shard_runs import ShardRuns
from flows.shard_starter import ShardStarter
from manifests.storage import publish_bytes
from tasks.config import CleanupConfig, ConfigurationError, load_settings
from tasks.config.shards import Shard
from tasks.editing.beacon import status_uri
from tasks.editing.planned_run import PlannedRun
from tasks.editing.planning import plan_run
from tests.factories.catalogs import write_catalog

pytestmark = pytest.mark.xdist_group("prefect")

DEPLOYMENT = "a-flow/shards-of-a-test"
POOL = "shards-of-a-test"
SILENCE_S = 120


@dataclass
class Bulk:
    """One bulk run's shards, seen at moments that the test chooses."""

    client: SyncPrefectClient
    plan: PlannedRun
    now: float = 0.0
    takeovers: int = 1
    runs: ShardRuns = field(init=False)

    def __post_init__(self) -> None:
        starter = ShardStarter(self.client, self.plan, DEPLOYMENT)
        self.runs = ShardRuns(
            self.client,
            self.plan.folder,
            starter,
            silence_s=SILENCE_S,
            takeovers=self.takeovers,
            clock=lambda: self.now,
        )

    def say(self, shard: int, state: State) -> None:
        """As a worker would."""
        self.client.set_flow_run_state(self.runs.runs[shard - 1].flow_run_id, state, force=True)

    def beat(self, shard: int, word: str, **by_state: int) -> None:
        """A sign of life from a shard's process."""
        said = {"beat": word, "rows": 50, "by_state": by_state, "cost_usd": "1.50"}
        whose = Shard(number=shard, of=len(self.runs.runs))
        publish_bytes(status_uri(self.plan.folder, whose), json.dumps(said).encode())

    def look_at(self, seconds: float) -> None:
        self.now = seconds
        self.runs.look()

    def recorded(self, shard: int) -> FlowRun:
        return self.client.read_flow_run(self.runs.runs[shard - 1].flow_run_id)

    def states(self) -> list[str]:
        return [run.ended_as for run in self.runs.runs]


@pytest.fixture(scope="module")
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    """With a deployment on a work pool."""
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as there:
        there.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        flow_id = there.create_flow_from_name("a-flow")
        there.create_deployment(flow_id=flow_id, name="shards-of-a-test", work_pool_name=POOL)
        there.create_deployment(flow_id=flow_id, name="without-a-pool")
        yield there


@pytest.fixture
def plan(client: SyncPrefectClient, tmp_path: Path) -> PlannedRun:
    return planned(tmp_path)


def planned(folder: Path, **knobs: Any) -> PlannedRun:
    manifest = folder / "in" / "manifest.parquet"
    if not manifest.exists():
        write_catalog(folder / "in", 120)
    known = {"manifest": str(manifest), "to": str(folder / "out"), "run_id": "big", **knobs}
    return plan_run(CleanupConfig(**known), load_settings())


def test_a_shard_is_a_flow_run_of_its_own(client: SyncPrefectClient, plan: PlannedRun) -> None:
    bulk = Bulk(client, plan)
    bulk.runs.start(2)

    first = bulk.recorded(1)
    assert first.name == "big shard 1/2"
    assert first.parameters["config"]["shard"] == "1/2"
    assert bulk.recorded(2).parameters["config"]["shard"] == "2/2"


def test_a_crashed_shard_is_taken_over_and_given_up_when_it_crashes_again(
    client: SyncPrefectClient, plan: PlannedRun
) -> None:
    bulk = Bulk(client, plan, takeovers=1)
    bulk.runs.start(1)
    first = bulk.runs.runs[0].flow_run_id
    bulk.say(1, Crashed())
    bulk.look_at(1)

    assert bulk.runs.runs[0].flow_run_id != first
    assert bulk.runs.runs[0].taken_over == 1
    assert client.read_flow_run(first).state_type is StateType.CANCELLED

    bulk.say(1, Crashed())
    bulk.look_at(2)

    assert bulk.states() == ["given up"]
    assert bulk.runs.runs[0].message == "its process died"


def test_a_shard_that_falls_silent_is_taken_over_and_one_that_tells_is_not(
    client: SyncPrefectClient, plan: PlannedRun
) -> None:
    """Both are `Running` for Prefect, as a lost machine's run is."""
    bulk = Bulk(client, plan)
    bulk.runs.start(2)
    for shard in (1, 2):
        bulk.say(shard, Running())
        bulk.beat(shard, "first")
    bulk.look_at(1)
    bulk.beat(2, "second", succeeded=10)
    bulk.look_at(SILENCE_S)
    bulk.look_at(SILENCE_S + 2)

    assert [run.taken_over for run in bulk.runs.runs] == [1, 0]


def test_what_an_earlier_process_told_is_no_sign_of_life(client: SyncPrefectClient, plan: PlannedRun) -> None:
    """The status of a lost process lies there still; the one that takes over may need minutes to begin."""
    bulk = Bulk(client, plan)
    bulk.runs.start(1)
    bulk.say(1, Running())
    bulk.beat(1, "first")
    bulk.look_at(1)
    bulk.say(1, Crashed())
    bulk.look_at(2)
    bulk.say(1, Running())
    bulk.look_at(3)
    bulk.look_at(3 + SILENCE_S + 1)

    assert bulk.runs.runs[0].taken_over == 1


def test_the_last_word_of_a_shard_counts(client: SyncPrefectClient, plan: PlannedRun) -> None:
    bulk = Bulk(client, plan)
    bulk.runs.start(1)
    bulk.say(1, Running())
    bulk.look_at(1)
    bulk.beat(1, "last", succeeded=48, rejected=2)
    bulk.say(1, Completed())
    bulk.look_at(2)

    assert bulk.runs.ended
    [run] = bulk.runs.runs
    assert run.status is not None
    assert run.status.done == 50


def test_cancelling_ends_what_waits_and_asks_what_works(client: SyncPrefectClient, plan: PlannedRun) -> None:
    """A worker that has died since does not answer: its shard is given up, not taken over."""
    bulk = Bulk(client, plan)
    bulk.runs.start(2)
    bulk.say(1, Running())
    bulk.look_at(1)
    bulk.runs.cancel()
    bulk.look_at(2)

    assert bulk.states() == ["cancelling", "cancelled"]

    bulk.say(1, Crashed())
    bulk.look_at(3)

    assert bulk.runs.ended
    assert bulk.states() == ["given up", "cancelled"]


def test_shards_that_nobody_took_before_the_deadline_never_begin(client: SyncPrefectClient, plan: PlannedRun) -> None:
    bulk = Bulk(client, plan)
    bulk.runs.start(2)
    bulk.say(1, Running())
    bulk.look_at(1)
    bulk.runs.cancel_waiting()
    bulk.look_at(2)

    assert bulk.states() == ["running", "cancelled"]


def test_a_deleted_flow_run_is_given_up(client: SyncPrefectClient, plan: PlannedRun) -> None:
    bulk = Bulk(client, plan)
    bulk.runs.start(1)
    client.delete_flow_run(bulk.runs.runs[0].flow_run_id)
    bulk.look_at(1)

    assert bulk.states() == ["given up"]
    assert "deleted" in bulk.runs.runs[0].message


def test_a_bulk_flow_started_again_watches_the_shards_that_are_still_at_work(
    client: SyncPrefectClient, plan: PlannedRun
) -> None:
    """As many as there were, whatever it is told now; a shard that has ended is begun again, to find nothing to do."""
    first = Bulk(client, plan)
    first.runs.start(2)
    first.say(1, Running())
    first.say(2, Completed())
    again = Bulk(client, plan)
    again.runs.start(3)

    assert again.runs.runs[0].flow_run_id == first.runs.runs[0].flow_run_id
    assert again.runs.runs[1].flow_run_id != first.runs.runs[1].flow_run_id
    assert len(again.runs.runs) == 2


@pytest.mark.parametrize("changed", [{"budget_usd": "9.60"}, {"providers": ("runflow",)}])
def test_shards_at_work_with_other_settings_are_not_taken_for_ones_own(
    client: SyncPrefectClient,
    plan: PlannedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
) -> None:
    """A shard that begins later would set the old budget again."""
    monkeypatch.setenv("CLEANPLATE_PROVIDERS__RUNFLOW__API_KEY", "key")
    Bulk(client, plan).runs.start(1)
    other = Bulk(client, planned(tmp_path, **changed))

    with pytest.raises(ConfigurationError, match=r"'big shard 1/1' .* other settings"):
        other.runs.start(1)


def test_the_same_run_id_in_another_folder_is_another_run(client: SyncPrefectClient, tmp_path: Path) -> None:
    here = Bulk(client, planned(tmp_path / "here"))
    there = Bulk(client, planned(tmp_path / "there"))
    here.runs.start(1)
    there.runs.start(1)

    assert here.runs.runs[0].flow_run_id != there.runs.runs[0].flow_run_id


@pytest.mark.parametrize("name", ["catalog-cleanup/nowhere", "nowhere"])
def test_a_missing_deployment_is_named_with_what_makes_it(client: SyncPrefectClient, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"no deployment {name}.*prefect.*deploy"):
        ShardPool.of(client, name)


def test_a_deployment_without_a_pool_is_refused(client: SyncPrefectClient) -> None:
    with pytest.raises(ConfigurationError, match="runs on no work pool"):
        ShardPool.of(client, "a-flow/without-a-pool")


def test_bulk_runs_need_a_server_that_workers_see(client: SyncPrefectClient) -> None:
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(ConfigurationError, match="PREFECT_API_URL"):
        ShardPool.of(client, DEPLOYMENT)


def test_it_is_told_why_nobody_takes_a_shard(client: SyncPrefectClient) -> None:
    pool = ShardPool.of(client, DEPLOYMENT)

    assert "prefect worker start --pool" in str(pool.hindrance())

    client.send_worker_heartbeat(POOL, "a-worker", heartbeat_interval_seconds=30)

    assert pool.hindrance() is None
