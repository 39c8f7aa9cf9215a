"""Watching shards until they have ended: progress for people, the deadline, and the word to stop."""

import logging
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.client.schemas.objects import StateType

from flows.pace import Pace
from flows.shard_pool import ShardPool
from flows.shard_runs import ShardRuns
from tasks.editing.planned_run import PlannedRun
from tasks.publish_report import artifact_key
from tasks.report.wording import count, duration, money

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
PUBLISH_EVERY_S: Final = 15.0
NOBODY_COMES_S: Final = 120.0


class ShardWatch:
    """One bulk run's."""

    def __init__(
        self, runs: ShardRuns, pool: ShardPool, plan: PlannedRun, stop: threading.Event, *, ends_at: datetime | None
    ) -> None:
        """`stop`: set when the user wants an end; `ends_at`: nothing new begins after this."""
        self._runs = runs
        self._pool = pool
        self._rows = plan.row_count
        self._key = artifact_key(plan.config.manifest)
        self._stop = stop
        self._ends_at = ends_at
        self._asked_to_stop = False
        self._artifact: UUID | None = None
        self._pace = Pace()
        self._publish_at = time.monotonic()
        self._complain_at = time.monotonic()

    def until_all_ended(self) -> None:
        """Returns when every shard has ended or was given up. A server that is away for a while is waited for."""
        while not self._runs.ended:
            try:
                self._look()
            except httpx.HTTPError as error:
                if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
                    raise
                log.warning("Prefect's server does not answer (%s); the shards go on", type(error).__name__)
            if not self._runs.ended:
                self._pause()
        self._publish()
        self._table()

    def _look(self) -> None:
        """Once: what was asked for, how the shards stand, and what people should know."""
        if self._stop.is_set() and not self._asked_to_stop:
            self._runs.cancel()
            self._asked_to_stop = True
        self._runs.look()
        if self._ends_at is not None and datetime.now(UTC) > self._ends_at:
            self._runs.cancel_waiting()
        now = time.monotonic()
        if any(not run.ended and run.state is not StateType.SCHEDULED for run in self._runs.runs):
            self._complain_at = now + NOBODY_COMES_S
        elif not self._runs.ended and now >= self._complain_at:
            self._complain_at = now + NOBODY_COMES_S
            self._complain()
        if now >= self._publish_at:
            self._publish_at = now + PUBLISH_EVERY_S
            self._publish()

    def _complain(self) -> None:
        """All shards wait."""
        busy = f"the workers of pool {self._pool.name} have no room; if this flow runs there, it takes a place too"
        log.warning("the shards wait: %s", self._pool.hindrance() or busy)

    def _publish(self) -> None:
        """A line in the log, and a progress artifact that moves."""
        statuses = [run.status for run in self._runs.runs if run.status is not None]
        done = sum(status.done for status in statuses)
        words = self._words(done, sum((status.cost_usd for status in statuses), Decimal(0)))
        states: Counter[str] = Counter()
        for status in statuses:
            states.update(status.by_state)
        words += [f"{count(number)} {state.replace('_', ' ')}" for state, number in sorted(states.items())]
        text = " · ".join(words)
        log.info(text)
        percent = min(100.0, 100.0 * done / max(1, self._rows))
        if self._artifact is None:
            self._artifact = create_progress_artifact(percent, f"{self._key}-progress", text)  # type: ignore[assignment]  # no event loop here
        else:
            update_progress_artifact(self._artifact, percent, text)

    def _words(self, done: int, cost_usd: Decimal) -> list[str]:
        """`120 of 600 rows`, `2 of 6 shards`, `$57.60`, `4 min 10 s left`."""
        ended = sum(run.ended for run in self._runs.runs)
        words = [
            f"{count(done)} of {count(self._rows)} rows",
            f"{ended} of {len(self._runs.runs)} shards",
            money(cost_usd),
        ]
        left_s = self._pace.left_s(time.monotonic(), done, self._rows)
        return words if left_s is None or self._runs.ended else [*words, f"{duration(left_s)} left"]

    def _table(self) -> None:
        rows = [
            {
                "shard": str(run.shard),
                "rows": run.status.rows if run.status else None,
                "done": run.status.done if run.status else None,
                "usd": f"{run.status.cost_usd:.2f}" if run.status else None,
                "taken over": run.taken_over,
                "ended as": run.ended_as,
                "why": "" if run.state is StateType.COMPLETED else run.message,
            }
            for run in self._runs.runs
        ]
        create_table_artifact(rows, key=f"{self._key}-shards", description="What each shard came to.")

    def _pause(self) -> None:
        """Until the next look; a wish to stop ends it early, once."""
        if self._asked_to_stop:
            time.sleep(LOOK_EVERY_S)
        else:
            self._stop.wait(LOOK_EVERY_S)
