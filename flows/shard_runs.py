"""The flow runs that work on a bulk run's shards: started once, watched, and replaced when their process has died.

A shard is taken over by a new flow run, not by scheduling the old one again: a worker of Prefect 3.8 that still holds the
old one's slot ends with an error when the same run comes back to it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.states import Cancelled, Cancelling

from tasks.config.shards import Shard
from tasks.editing.beacon import ShardStatus, read_status
from tasks.editing.planned_run import PlannedRun

log = logging.getLogger(__name__)

STARTING_S: Final = 300.0  # from a worker's taking it to its first sign of life: an image may have to be pulled
_WAITING: Final = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
_AT_WORK: Final = {StateType.PENDING, StateType.RUNNING, StateType.CANCELLING}


@dataclass(kw_only=True)
class ShardRun:
    """One shard, and the flow run that works on it. Times are this process's own monotonic seconds."""

    shard: Shard
    flow_run_id: UUID
    heard_at: float  # the last sign of life
    state: StateType = StateType.SCHEDULED
    status: ShardStatus | None = None
    taken_over: int = 0
    beats: int = 0  # heard from the present flow run
    given_up: bool = False

    @property
    def ended(self) -> bool:
        """No more is to come from it."""
        return self.given_up or self.state in {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}


class ShardRuns:
    """All of them. The state of a run comes from Prefect, its sign of life from the run folder."""

    def __init__(
        self,
        client: SyncPrefectClient,
        plan: PlannedRun,
        *,
        silence_s: float,
        takeovers: int,
        deployment: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`silence_s`: a shard at work that tells nothing for so long is dead; `takeovers`: how often one is replaced."""
        self._client = client
        self._plan = plan
        self._silence_s = silence_s
        self._takeovers = takeovers
        self._deployment = deployment
        self._clock = clock
        self._cancelled = False
        self.runs: list[ShardRun] = []
        self.ends_at: datetime | None = None  # nothing new begins after this

    @property
    def ended(self) -> bool:
        """Of all."""
        return all(run.ended for run in self.runs)

    def start(self, count: int) -> None:
        """A flow run for each shard; one that an earlier bulk flow of the same run left behind is watched instead."""
        now = datetime.now(UTC)
        left_s = self._plan.config.time_left_s(now)
        self.ends_at = None if left_s is None else now + timedelta(seconds=left_s)
        for number in range(1, count + 1):
            shard = Shard(number=number, of=count)
            found = self._left_behind(shard)
            flow_run = found if found is not None else self._submit(shard)
            run = ShardRun(shard=shard, flow_run_id=flow_run.id, heard_at=self._clock())
            run.status = read_status(self._plan.folder, shard)  # of an earlier process: no sign of life of this one
            self.runs.append(run)

    def look(self) -> None:
        """Bring every shard up to date; take over the ones whose process has died."""
        states = {
            run.id: run.state_type for run in self._read(FlowRunFilterId(any_=[r.flow_run_id for r in self.runs]))
        }
        for run in self.runs:
            if not run.ended:
                self._update(run, states.get(run.flow_run_id))

    def cancel(self) -> None:
        """Ask every shard to stop: what was sent is settled, what was not begun is deferred."""
        self._cancelled = True
        for run in self.runs:
            if not run.ended:
                self._client.set_flow_run_state(run.flow_run_id, Cancelling())
                run.heard_at = self._clock()

    def cancel_waiting(self) -> None:
        """Nothing new begins: shards that no worker has taken yet never will be."""
        for run in self.runs:
            if not run.ended and run.state is StateType.SCHEDULED:
                self._client.set_flow_run_state(run.flow_run_id, Cancelled(), force=True)

    def _tags(self, shard: Shard) -> list[str]:
        return ["cleanplate", f"run_id={self._plan.run_id}", f"shard={shard}"]

    def _submit(self, shard: Shard) -> FlowRun:
        config = self._plan.config.model_copy(update={"shard": str(shard), "ends_at": self.ends_at, "deadline": None})
        flow_run: FlowRun = run_deployment(  # type: ignore[assignment]  # called from a thread without an event loop
            self._deployment,
            parameters={"config": config.model_dump(mode="json"), "retry": self._plan.retry},
            flow_run_name=f"{self._plan.run_id} shard {shard}",
            tags=self._tags(shard),
            timeout=0,
        )
        return flow_run

    def _left_behind(self, shard: Shard) -> FlowRun | None:
        at_work = FlowRunFilterState(type=FlowRunFilterStateType(any_=_WAITING))
        found = self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=self._tags(shard)), state=at_work)
        )
        return next((run for run in found if self._is_ours(run.parameters)), None)

    def _is_ours(self, parameters: dict[str, Any]) -> bool:
        config = parameters.get("config", {})
        return isinstance(config, dict) and config.get("to") == self._plan.config.to

    def _read(self, wanted: FlowRunFilterId) -> Iterator[FlowRun]:
        ids = wanted.any_ or []
        for first in range(0, len(ids), 200):  # as many as the server returns at once
            chunk = FlowRunFilterId(any_=ids[first : first + 200])
            yield from self._client.read_flow_runs(flow_run_filter=FlowRunFilter(id=chunk))

    def _update(self, run: ShardRun, state: StateType | None) -> None:
        status = read_status(self._plan.folder, run.shard)
        beat = status is not None and (run.status is None or status.beat != run.status.beat)
        if beat or state is not run.state:
            run.heard_at = self._clock()
        run.beats += beat
        run.status = status or run.status
        if state is None:
            run.given_up = True  # somebody deleted it
            return
        run.state = state
        patience_s = self._silence_s if run.beats else max(self._silence_s, STARTING_S)
        silent = state in _AT_WORK and self._clock() - run.heard_at > patience_s
        if state is StateType.CRASHED or silent:
            self._take_over(run, "it gave no sign of life" if silent else "its process died")

    def _take_over(self, run: ShardRun, why: str) -> None:
        """A new flow run of the same shard: the ledger and the parts tell it where to go on. The old one must not come back."""
        self._client.set_flow_run_state(run.flow_run_id, Cancelled(message=f"taken over: {why}"), force=True)
        if self._cancelled:
            run.given_up = True
        elif run.taken_over >= self._takeovers:
            log.error("shard %s is given up: %s, for the %dth time", run.shard, why, run.taken_over + 1)
            run.given_up = True
        else:
            log.warning("shard %s is taken over: %s", run.shard, why)
            run.taken_over += 1
            run.flow_run_id = self._submit(run.shard).id
            run.state, run.heard_at, run.beats = StateType.SCHEDULED, self._clock(), 0
