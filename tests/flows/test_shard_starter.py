"""A shard is a flow run, and one that an earlier start left at work is not begun again."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Completed, Running

from tasks.config import ConfigurationError
from tasks.editing.planned_run import PlannedRun
from tests.flows.shards import Bulk, planned

pytestmark = pytest.mark.xdist_group("prefect")


def test_a_shard_is_a_flow_run_of_its_own(client: SyncPrefectClient, plan: PlannedRun) -> None:
    bulk = Bulk(client, plan)
    bulk.runs.start(2)

    first = bulk.recorded(1)
    assert first.name == "big shard 1/2"
    assert first.parameters["config"]["shard"] == "1/2"
    assert bulk.recorded(2).parameters["config"]["shard"] == "2/2"


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
