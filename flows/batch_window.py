"""Keeps a bounded number of batches under way, shows how far they are, and gathers what they leave open."""

import queue
import time
from collections.abc import Iterable
from itertools import islice
from typing import Final

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from manifests.items import BatchRef
from tasks.edit_batch import edit_batch
from tasks.editing.batch import BatchReport
from tasks.editing.planned_run import PlannedRun

SHOW_EVERY_S: Final = 5.0  # an update is a request to the server


class BatchesFailedError(Exception):
    """Batches ended without a report. Their rows keep what was recorded of them; the others are deferred."""


def edit_batches(plan: PlannedRun, batches: Iterable[BatchRef], total: int, pass_number: int) -> list[BatchRef]:
    """Submit `batches` (`total` of them), at most `batches_in_flight` at once, each as a task run; return those with rows still open.

    Raises:
        BatchesFailedError: some ended unexpectedly; all others were taken to their end first.
    """
    remaining = iter(batches)
    finished: queue.SimpleQueue[PrefectFuture[BatchReport]] = queue.SimpleQueue()
    under_way, done = 0, 0
    still_open: list[BatchRef] = []
    failures: list[str] = []
    progress = _Progress(f"pass {pass_number}", total)
    while True:
        for batch in islice(remaining, plan.config.batches_in_flight - under_way):
            edit_batch.submit(plan, batch, pass_number).add_done_callback(finished.put)
            under_way += 1
        if not under_way:
            break
        report = _report(finished.get())
        under_way, done = under_way - 1, done + 1
        progress.show(done)
        if not isinstance(report, BatchReport):
            failures.append(f"{type(report).__name__}: {report}")
        elif report.open_rows:
            still_open.append(report.batch)
    if failures:
        get_run_logger().error("%d batches ended unexpectedly, first: %s", len(failures), failures[0])
        raise BatchesFailedError(f"{len(failures)} batches ended unexpectedly: {failures[0]}")
    return sorted(still_open, key=lambda batch: batch.index)


def _report(batch: PrefectFuture[BatchReport]) -> object:
    """What the batch's task returned, or what it failed with."""
    try:
        return batch.result(raise_on_failure=False)
    except Exception as error:  # noqa: BLE001 - each engine has its own for a worker that died once too often
        return error


class _Progress:
    """A progress artifact of this flow run, brought up to date now and then."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, max(1, total)
        self._artifact = create_progress_artifact(progress=0.0, description=f"{what}: 0 of {total} batches")
        self._shown = time.monotonic()

    def show(self, done: int) -> None:
        if done < self._total and time.monotonic() - self._shown < SHOW_EVERY_S:
            return
        self._shown = time.monotonic()
        share = min(100.0, 100 * done / self._total)
        text = f"{self._what}: {done} of {self._total} batches"
        update_progress_artifact(artifact_id=self._artifact, progress=share, description=text)  # type: ignore[arg-type]  # typed as maybe awaitable
