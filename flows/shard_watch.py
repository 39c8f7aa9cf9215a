"""Watching shards until they have ended: progress for people, the deadline, and the word to stop."""

import logging
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from flows.shard_runs import ShardRuns
from tasks.editing.planned_run import PlannedRun
from tasks.publish_report import artifact_key

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
PUBLISH_EVERY_S: Final = 15.0
NOBODY_COMES_S: Final = 120.0


class ShardWatch:
    """One bulk run's."""

    def __init__(self, runs: ShardRuns, plan: PlannedRun, stop: threading.Event) -> None:
        """`stop`: set when the user wants an end."""
        self._runs = runs
        self._rows = plan.row_count
        self._key = artifact_key(plan.config.manifest)
        self._stop = stop
        self._artifact: UUID | None = None
        self._published_at = self._told_at = time.monotonic()

    def until_all_ended(self) -> None:
        """Returns when every shard has ended or was given up."""
        asked_to_stop = False
        self._publish()
        while not self._runs.ended:
            if self._stop.is_set() and not asked_to_stop:
                asked_to_stop = True
                self._runs.cancel()
            self._runs.look()
            if self._runs.ends_at is not None and datetime.now(UTC) > self._runs.ends_at:
                self._runs.cancel_waiting()
            self._tell_when_nobody_comes()
            if time.monotonic() - self._published_at > PUBLISH_EVERY_S:
                self._publish()
            if not self._runs.ended:
                _pause(self._stop, asked_to_stop=asked_to_stop)
        self._publish()
        self._table()

    def _tell_when_nobody_comes(self) -> None:
        now = time.monotonic()
        nobody = all(run.ended or run.state.value == "SCHEDULED" for run in self._runs.runs)
        if not nobody or self._runs.ended:
            self._told_at = now
        elif now - self._told_at > NOBODY_COMES_S:
            self._told_at = now
            log.warning("no worker has taken a shard yet: start some with `prefect worker start --pool <pool>`")

    def _publish(self) -> None:
        """A progress artifact that moves."""
        self._published_at = time.monotonic()
        statuses = [run.status for run in self._runs.runs if run.status is not None]
        done = sum(status.done for status in statuses)
        cost = sum((status.cost_usd for status in statuses), Decimal(0))
        states: Counter[str] = Counter()
        for status in statuses:
            states.update(status.by_state)
        ended = sum(run.ended for run in self._runs.runs)
        parts = [f"{done} of {self._rows} rows", f"{ended} of {len(self._runs.runs)} shards", f"${cost:.2f}"]
        parts += [f"{count} {state}" for state, count in sorted(states.items())]
        log.info(" · ".join(parts))
        percent = min(100.0, 100.0 * done / self._rows)
        if self._artifact is None:
            self._artifact = create_progress_artifact(percent, f"{self._key}-progress", " · ".join(parts))  # type: ignore[assignment]  # no event loop here
        else:
            update_progress_artifact(self._artifact, percent, " · ".join(parts))

    def _table(self) -> None:
        rows = [
            {
                "shard": str(run.shard),
                "rows": run.status.rows if run.status else None,
                "done": run.status.done if run.status else None,
                "usd": f"{run.status.cost_usd:.2f}" if run.status else None,
                "taken over": run.taken_over,
                "ended as": "given up" if run.given_up else run.state.value.lower(),
            }
            for run in self._runs.runs
        ]
        create_table_artifact(rows, key=f"{self._key}-shards", description="What each shard came to.")


def _pause(stop: threading.Event, *, asked_to_stop: bool) -> None:
    """Until the next look; a wish to stop ends it early, once."""
    if asked_to_stop:
        time.sleep(LOOK_EVERY_S)
    else:
        stop.wait(LOOK_EVERY_S)
