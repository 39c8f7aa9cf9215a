"""Shards are watched: what their workers and processes say decides what becomes of them."""

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, Crashed, Running

from tasks.editing.planned_run import PlannedRun
from tests.flows.shards import SILENCE_S, Bulk

pytestmark = pytest.mark.xdist_group("prefect")


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
