"""Flow runs for shards: found where an earlier bulk flow of the same run left them at work, else submitted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment

from tasks.config import ConfigurationError
from tasks.config.shards import Shard
from tasks.editing.planned_run import PlannedRun

AT_ONCE: Final = 200  # as many records as the server returns
_WAITING: Final = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


class ShardStarter:
    """Of one bulk run."""

    def __init__(self, client: SyncPrefectClient, plan: PlannedRun, deployment: str) -> None:
        self._client = client
        self._plan = plan
        self._deployment = deployment
        self.ends_at = plan.config.ends(datetime.now(UTC))

    def left_behind(self) -> dict[Shard, FlowRun]:
        """Shards of this run that are at work or waiting: the bulk flow that started them has died.

        Raises:
            ConfigurationError: they were started with other settings, or cut in different ways.
        """
        found = {Shard.parse(run.parameters["config"]["shard"]): run for run in self._at_work()}
        differ = any(_settings(run.parameters) != _settings(self._parameters(shard)) for shard, run in found.items())
        if differ or len({shard.of for shard in found}) > 1:
            names = ", ".join(sorted(f"'{run.name}'" for run in found.values()))
            raise ConfigurationError(
                f"{names} of an earlier start of run {self._plan.run_id} are still at work, with other settings: "
                "let them end or cancel them first, or start with the same settings"
            )
        return found

    def submit(self, shard: Shard) -> FlowRun:
        """A new flow run for a shard."""
        flow_run: FlowRun = run_deployment(  # type: ignore[assignment]  # called from a thread without an event loop
            self._deployment,
            parameters=self._parameters(shard),
            flow_run_name=f"{self._plan.run_id} shard {shard}",
            tags=[*self._tags, f"shard={shard}"],
            timeout=0,
        )
        return flow_run

    def _parameters(self, shard: Shard) -> dict[str, Any]:
        config = self._plan.config.model_copy(update={"shard": str(shard), "ends_at": self.ends_at, "deadline": None})
        return {"config": config.model_dump(mode="json"), "retry": self._plan.retry}

    @property
    def _tags(self) -> list[str]:
        return ["cleanplate", f"run_id={self._plan.run_id}"]

    def _at_work(self) -> Iterator[FlowRun]:
        states = FlowRunFilterState(type=FlowRunFilterStateType(any_=_WAITING))
        wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=self._tags), state=states)
        for offset in count(0, AT_ONCE):
            page = self._client.read_flow_runs(flow_run_filter=wanted, limit=AT_ONCE, offset=offset)
            yield from (run for run in page if self._is_ours(run.parameters))
            if len(page) < AT_ONCE:
                return

    def _is_ours(self, parameters: dict[str, Any]) -> bool:
        """Another catalog may use the same run id in another place."""
        config = parameters.get("config", {})
        return isinstance(config, dict) and bool(config.get("shard")) and config.get("to") == self._plan.config.to


def _settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """What two starts must have in common, if one is to watch the other's shards."""
    return {**parameters, "config": {**parameters["config"], "shard": None, "ends_at": None}}
