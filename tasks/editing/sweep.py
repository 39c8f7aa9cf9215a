"""Before the first pass: batches whose every outcome is known without work are written many at a time; the others are handed on.

A catalog of millions that was delivered last night is planned and finished here, without a task a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pyarrow.compute as pc

from manifests.items import BatchRef, Item
from manifests.outcomes import Outcome, State
from manifests.reader import BatchRows
from manifests.results import rejection
from tasks.credits import Delivery
from tasks.editing.deliveries import reused_outcome
from tasks.editing.planned_run import PlannedRun
from tasks.editing.runtime import Runtime
from tasks.editing.sources import item_key

_FIRST: Final = 1  # batches in the first look, so that work begins at once; each further look takes four times as many
_MOST: Final = 256


def batches_with_work(plan: PlannedRun, runtime: Callable[[], Runtime]) -> Iterator[BatchRef]:
    """The batches that somebody has to work on, in manifest order; one look ahead of whoever takes them.

    `runtime`: makes this process's runtime; not called before the first batch is wanted.
    """
    sweep = Sweep(runtime())
    with ThreadPoolExecutor(1, thread_name_prefix="cleanplate-sweep") as pool:
        looks = _looks(plan.numbers)
        ahead: Future[list[BatchRef]] | None = pool.submit(sweep.look, next(looks, range(0)))
        while ahead is not None:
            found = ahead.result()
            numbers = next(looks, None)
            ahead = None if numbers is None else pool.submit(sweep.look, numbers)
            yield from found


def _looks(numbers: range) -> Iterator[range]:
    start, size = numbers.start, _FIRST
    while start < numbers.stop:
        yield range(start, min(start + size, numbers.stop))
        start, size = start + size, min(4 * size, _MOST)


class Sweep:
    """One run's. Used from one thread at a time, never from the event loop's."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._plan = runtime.plan
        self._looks_up = runtime.plan.config.reuse and runtime.run(runtime.ledger.has_deliveries())

    def look(self, numbers: range) -> list[BatchRef]:
        """Write what is known of these batches; those with work to do."""
        if self._runtime.switch.thrown:
            return []
        refs = list(self._plan.manifest.batches(numbers.start, numbers.stop))
        if self._plan.folder.stored_results is not None:
            return [ref for ref in refs if not self._succeeded_before(ref)]
        covered = {one for run in self._plan.folder.stretches.covered(numbers.start, numbers.stop) for one in run}
        for ref in refs:
            if ref.index in covered:  # this run wrote it before it was interrupted
                self._runtime.progress.add_known(ref.length, reused=ref.length)
        begun = set(self._plan.folder.part_indices(numbers.start, numbers.stop)) if self._looks_up else set()
        unknown = [ref for ref in refs if ref.index not in covered]
        if not self._looks_up:
            return unknown
        known = self._write_known([ref for ref in unknown if ref.index not in begun])
        return [ref for ref in unknown if ref.index not in known]

    def _succeeded_before(self, ref: BatchRef) -> bool:
        """In an earlier round; then its rows stay as they are."""
        stored = self._plan.folder.stored_results
        if stored is None:
            return False
        facts = stored.states(ref.first_row, ref.length)
        if not pc.all(pc.equal(facts["state"], str(State.SUCCEEDED))).as_py():
            return False
        if self._plan.manifest_uri != self._plan.folder.results_uri:
            rows = self._plan.manifest.read(ref)
            if rows.table["item_id"].to_pylist() != facts["item_id"].to_pylist():
                return False  # the item path says what is wrong
        self._runtime.progress.add_known(ref.length, reused=0)
        return True

    def _write_known(self, refs: Sequence[BatchRef]) -> set[int]:
        batches = [self._plan.manifest.read(ref) for ref in refs]
        deliveries = self._deliveries(batches) if batches else {}
        known, outcomes = [], []
        for rows in batches:
            found = _outcomes(rows, deliveries)
            if found is not None:
                known.append(rows)
                outcomes.append(found)
        paid = self._runtime.run(self._runtime.deliveries.paid_here([one for of_batch in outcomes for one in of_batch]))
        outcomes = [[paid.get(one.item_id, one) for one in of_batch] for of_batch in outcomes]
        if known:
            self._plan.folder.write_stretch(known, outcomes)
        for of_batch in outcomes:
            reused = sum(outcome.reused for outcome in of_batch)
            self._runtime.progress.add_known(reused, reused=reused)
            for outcome in of_batch:
                if not outcome.reused:
                    self._runtime.progress.add(outcome)
        return {rows.ref.index for rows in known}

    def _deliveries(self, batches: Sequence[BatchRows]) -> dict[str, Delivery]:
        """By item id: what was delivered for a row's content, if its file is still there."""
        runtime = self._runtime
        items = [item for rows in batches for item in rows.items if isinstance(item, Item)]
        uris = {uri for item in items for uri in (item.image_uri, item.mask_uri, item.reference_uri) if uri is not None}
        hashes = runtime.run(runtime.sources.look_at_many(uris))
        keys = {item.item_id: key for item in items if (key := self._key(item, hashes)) is not None}
        found = runtime.run(runtime.ledger.delivered(set(keys.values()))) if keys else {}
        there = runtime.run(runtime.storage.look_at_many({delivery.output_uri for delivery in found.values()}))
        good = {key: delivery for key, delivery in found.items() if delivery.output_uri in there}
        return {item_id: good[key] for item_id, key in keys.items() if key in good}

    def _key(self, item: Item, hashes: dict[str, str]) -> str | None:
        """The content key, where the hash of each file is known."""
        if item.image_uri not in hashes:
            return None
        for uri in (item.mask_uri, item.reference_uri):
            if uri is not None and uri not in hashes:
                return None
        return item_key(
            item,
            image=hashes[item.image_uri],
            mask=hashes[item.mask_uri] if item.mask_uri else None,
            reference=hashes[item.reference_uri] if item.reference_uri else None,
            output_format=self._plan.config.output_format,
        )


def _outcomes(rows: BatchRows, deliveries: dict[str, Delivery]) -> list[Outcome] | None:
    """All of a batch, or None when one is not known."""
    outcomes = []
    for item in rows.items:
        if not isinstance(item, Item):
            outcomes.append(rejection(item))
        elif (delivery := deliveries.get(item.item_id)) is not None:
            outcomes.append(reused_outcome(item.item_id, delivery))
        else:
            return None
    return outcomes if any(outcome.reused for outcome in outcomes) else None
