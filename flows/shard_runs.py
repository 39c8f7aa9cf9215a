"""The flow runs that work on a bulk run's shards: started once, watched, and replaced when their process has died.

A shard is taken over by a new flow run, not by scheduling the old one again: a worker of Prefect 3.8 that still holds the
old one's slot ends with an error when the same run comes back to it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Cancelling

from flows.shard_starter import AT_ONCE, ShardStarter
from manifests.run_folder import RunFolder
from tasks.config.shards import Shard
from tasks.editing.beacon import ShardStatus, read_status

log = logging.getLogger(__name__)

STARTING_S: Final = 300.0  # from a worker's taking it to its first sign of life: an image may have to be pulled
_AT_WORK: Final = {StateType.PENDING, StateType.RUNNING, StateType.CANCELLING}


@dataclass(kw_only=True)
class ShardRun:
    """One shard, and the flow run that works on it. Times are this process's own monotonic seconds."""

    shard: Shard
    flow_run_id: UUID
    heard_at: float  # the last sign of life
    state: StateType = StateType.SCHEDULED
    message: str = ""  # of its state
    status: ShardStatus | None = None
    taken_over: int = 0
    beats: int = 0  # heard from the present flow run
    given_up: bool = False

    @property
    def ended(self) -> bool:
        """No more is to come from it."""
        return self.given_up or self.state in {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}

    @property
    def ended_as(self) -> str:
        """For people: `completed`, `failed`, `cancelled`, `given up`, or how it stands."""
        return "given up" if self.given_up else self.state.value.lower()


class ShardRuns:
    """All of them. The state of a run comes from Prefect, its sign of life from the run folder."""

    def __init__(
        self,
        client: SyncPrefectClient,
        folder: RunFolder,
        starter: ShardStarter,
        *,
        silence_s: float,
        takeovers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`silence_s`: a shard at work that tells nothing for so long is dead; `takeovers`: how often one is replaced."""
        self._client = client
        self._folder = folder
        self._starter = starter
        self._silence_s = silence_s
        self._takeovers = takeovers
        self._clock = clock
        self._cancelled = False
        self.runs: list[ShardRun] = []

    @property
    def ended(self) -> bool:
        """Of all."""
        return all(run.ended for run in self.runs)

    def start(self, count: int) -> None:
        """A flow run for each shard; those that an earlier bulk flow of the same run left behind are watched instead.

        Raises:
            ConfigurationError: those cannot be watched as this run's.
        """
        left_behind = self._starter.left_behind()
        if left_behind:
            count = next(iter(left_behind)).of
            log.info("%d of %d shards of an earlier start are still at work: they go on", len(left_behind), count)
        for number in range(1, count + 1):
            shard = Shard(number=number, of=count)
            flow_run = left_behind.get(shard) or self._starter.submit(shard)
            run = ShardRun(shard=shard, flow_run_id=flow_run.id, heard_at=self._clock())
            run.status = read_status(self._folder, shard)  # of an earlier process: no sign of life of this one
            self.runs.append(run)

    def look(self) -> None:
        """Bring every shard up to date; take over the ones whose process has died."""
        open_runs = [run for run in self.runs if not run.ended]
        found = {flow_run.id: flow_run for flow_run in self._read([run.flow_run_id for run in open_runs])}
        for run in open_runs:
            self._update(run, found.get(run.flow_run_id))

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
                self._client.set_flow_run_state(run.flow_run_id, Cancelled(message="the deadline has come"), force=True)

    def _read(self, ids: list[UUID]) -> Iterator[FlowRun]:
        for first in range(0, len(ids), AT_ONCE):
            chunk = FlowRunFilterId(any_=ids[first : first + AT_ONCE])
            yield from self._client.read_flow_runs(flow_run_filter=FlowRunFilter(id=chunk))

    def _update(self, run: ShardRun, flow_run: FlowRun | None) -> None:
        if flow_run is None or flow_run.state is None:
            run.given_up, run.message = True, "its flow run was deleted"
            return
        state = flow_run.state.type
        beat = state is not StateType.SCHEDULED and self._hear(run)
        if beat or state is not run.state:
            run.heard_at = self._clock()
        run.beats += beat
        run.state, run.message = state, flow_run.state.message or ""
        patience_s = self._silence_s if run.beats else max(self._silence_s, STARTING_S)
        silent = state in _AT_WORK and self._clock() - run.heard_at > patience_s
        if state is StateType.CRASHED or silent:
            self._take_over(run, "it gave no sign of life" if silent else "its process died")

    def _hear(self, run: ShardRun) -> bool:
        """Whether the run folder says something new of it."""
        status = read_status(self._folder, run.shard)
        if status is None or (run.status is not None and status.beat == run.status.beat):
            return False
        run.status = status
        return True

    def _take_over(self, run: ShardRun, why: str) -> None:
        """A new flow run of the same shard: the ledger and the parts tell it where to go on. The old one must not come back."""
        lost = run.flow_run_id
        if self._cancelled or run.taken_over >= self._takeovers:
            log.error("shard %s is given up after %d takeovers: %s", run.shard, run.taken_over, why)
            run.given_up, run.message = True, why
        else:
            log.warning("shard %s is taken over: %s", run.shard, why)
            run.flow_run_id = self._starter.submit(run.shard).id
            run.taken_over += 1
            run.state, run.heard_at, run.beats = StateType.SCHEDULED, self._clock(), 0
        self._client.set_flow_run_state(lost, Cancelled(message=f"taken over: {why}"), force=True)
