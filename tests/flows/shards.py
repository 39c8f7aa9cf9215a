"""One bulk run's shards on a real server, without a worker: tests say what workers would have said."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import State

from flows.shard_runs import ShardRuns
from flows.shard_starter import ShardStarter
from manifests.storage import publish_bytes
from tasks.config import CleanupConfig, load_settings
from tasks.config.shards import Shard
from tasks.editing.beacon import status_uri
from tasks.editing.planned_run import PlannedRun
from tasks.editing.planning import plan_run
from tests.factories.catalogs import write_catalog

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


def planned(folder: Path, **knobs: Any) -> PlannedRun:
    manifest = folder / "in" / "manifest.parquet"
    if not manifest.exists():
        write_catalog(folder / "in", 120)
    known = {"manifest": str(manifest), "to": str(folder / "out"), "run_id": "big", **knobs}
    return plan_run(CleanupConfig(**known), load_settings())
