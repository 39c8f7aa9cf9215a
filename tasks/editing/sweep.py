"""Before the first pass: batches whose every outcome is known without work are written many at a time; the others are handed on.

A catalog of millions that was delivered last night is planned and finished here, without a task a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.items import BatchRef
from manifests.outcomes import State
from manifests.row_blocks import NO_ITEM
from manifests.stored_results import StoredResults
from tasks.editing.planned_run import PlannedRun
from tasks.editing.recognition import UNKNOWN, Recognised, recognise
from tasks.editing.runtime import Runtime

_FIRST: Final = 1  # batches in the first look, so that work begins at once; each further look takes eight times as many
_MOST: Final = 400  # the rows of a row group of the results


def batches_with_work(plan: PlannedRun, runtime: Callable[[], Runtime]) -> Iterator[BatchRef]:
    """The batches that somebody has to work on, in manifest order; one look ahead of whoever takes them.

    `runtime`: makes this process's runtime; not called before the first batch is wanted.
    """
    sweep = Sweep(plan, runtime())
    with ThreadPoolExecutor(1, thread_name_prefix="cleanplate-sweep") as pool:
        looks = _looks(sweep.uncovered())
        ahead: Future[list[BatchRef]] | None = pool.submit(sweep.look, next(looks, range(0)))
        while ahead is not None:
            found = ahead.result()
            numbers = next(looks, None)
            ahead = None if numbers is None else pool.submit(sweep.look, numbers)
            yield from found


def _looks(stretches: Sequence[range]) -> Iterator[range]:
    size = _FIRST
    for numbers in stretches:
        start = numbers.start
        while start < numbers.stop:
            yield range(start, min(start + size, numbers.stop))
            start, size = start + size, min(8 * size, _MOST)


class Sweep:
    """One run's. Used from one thread at a time, never from the event loop's."""

    def __init__(self, plan: PlannedRun, runtime: Runtime) -> None:
        self._plan, self._runtime = plan, runtime
        self._looks_up = plan.config.reuse and runtime.run(runtime.ledger.has_deliveries())

    def uncovered(self) -> list[range]:
        """The batches that this round has not written many at a time; those that it has are counted as done."""
        numbers, found = self._plan.numbers, []
        start = numbers.start
        for covered in self._plan.folder.stretches.covered(numbers.start, numbers.stop):
            rows = len(self._plan.manifest.row_numbers(covered.start, covered.stop))
            self._runtime.progress.add_known(rows, reused=rows)
            found.append(range(start, covered.start))
            start = covered.stop
        return [one for one in (*found, range(start, numbers.stop)) if one]

    def look(self, numbers: range) -> list[BatchRef]:
        """Write what is known of these batches; those with work to do."""
        if self._runtime.switch.thrown or not numbers:
            return []
        refs = list(self._plan.manifest.batches(numbers.start, numbers.stop))
        stored = self._plan.folder.stored_results
        if stored is not None:
            succeeded = self._succeeded_before(refs, stored)
            return [ref for ref, done in zip(refs, succeeded, strict=True) if not done]
        begun = set(self._plan.folder.part_indices(numbers.start, numbers.stop)) if self._looks_up else set()
        if not self._looks_up or len(begun) == len(refs):
            return refs
        known = self._write_known(refs, begun)
        return [ref for ref, done in zip(refs, known, strict=True) if not done]

    def _succeeded_before(self, refs: Sequence[BatchRef], stored: StoredResults) -> NDArray[np.bool_]:
        """Of each batch: whether all its rows succeeded in an earlier round; then they stay as they are."""
        rows = self._plan.manifest.row_numbers(refs[0].index, refs[-1].index + 1)
        facts = stored.states(rows.start, len(rows)).combine_chunks()
        same = _equal(facts["state"], pa.scalar(str(State.SUCCEEDED)))
        if self._plan.manifest_uri != self._plan.folder.results_uri:  # else the item path says what is wrong
            given = self._plan.manifest.read_many(refs[0].index, refs[-1].index + 1).table["item_id"]
            same &= _equal(facts["item_id"], given)
        succeeded = _all_of_each(same, refs)
        done = sum(ref.length for ref, all_ in zip(refs, succeeded, strict=True) if all_)
        self._runtime.progress.add_known(done, reused=0)
        return succeeded

    def _write_known(self, refs: Sequence[BatchRef], begun: set[int]) -> NDArray[np.bool_]:
        """Of each batch: whether it is known as a whole, and written now."""
        block = self._plan.manifest.read_many(refs[0].index, refs[-1].index + 1)
        found = recognise(block, self._runtime)
        known = _all_of_each(found.which != UNKNOWN, refs) & ~_all_of_each(block.kinds == NO_ITEM, refs)
        known &= [ref.index not in begun for ref in refs]
        if known.any():
            rows = np.repeat(known, [ref.length for ref in refs])
            written = [ref for ref, whole in zip(refs, known.tolist(), strict=True) if whole]
            table = block.table if known.all() else block.table.filter(pa.array(rows))
            self._plan.folder.write_stretch(written, table, found.outcomes(rows))
            self._count(found, rows)
        return known

    def _count(self, found: Recognised, rows: NDArray[np.bool_]) -> None:
        others = found.which[rows] - len(found.reused)
        reused = int(np.count_nonzero(others < 0))
        self._runtime.progress.add_known(reused, reused=reused)
        for number in others[others >= 0]:
            self._runtime.progress.add(found.others[number])


def _all_of_each(rows: NDArray[np.bool_], refs: Sequence[BatchRef]) -> NDArray[np.bool_]:
    """Of each batch: whether it is so of all its rows."""
    return np.logical_and.reduceat(rows, [ref.first_row - refs[0].first_row for ref in refs])


def _equal(column: pa.ChunkedArray, other: pa.ChunkedArray | pa.Scalar) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.equal(column, other), fill_value=False).to_numpy(), bool)
