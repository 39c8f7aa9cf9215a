"""One batch in this process: read its rows, edit those that are open, write its part."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from manifests.error_codes import ErrorCode
from manifests.items import BatchRef, Item
from manifests.outcomes import Outcome, State
from manifests.results import rejection
from manifests.rows import RowFault
from tasks.editing.item import edit_item
from tasks.editing.runtime import Runtime
from tasks.editing.sources import Sources
from tasks.observability.metrics import METRICS

_ANOTHER_PASS_MAY_HELP: Final = frozenset(
    {
        ErrorCode.PROVIDER_ERROR,
        ErrorCode.PROVIDER_TIMEOUT,
        ErrorCode.PROVIDER_UNAVAILABLE,
        ErrorCode.DOWNLOAD_FAILED,
        ErrorCode.OUT_OF_CREDITS,
        ErrorCode.BUDGET_REACHED,
        ErrorCode.STORE_FAILED,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchReport:
    """What a batch's task returns: small, for there are many."""

    batch: BatchRef
    open_rows: int  # that another pass may still help
    states: dict[str, int]


async def edit_rows(runtime: Runtime, batch: BatchRef, pass_number: int) -> BatchReport:
    """Edit the open rows of a batch; rows that an earlier pass or process finished keep their outcome."""
    plan = runtime.plan
    rows = await asyncio.to_thread(plan.manifest.read, batch)
    before = await asyncio.to_thread(plan.folder.read_outcomes, rows) or [None] * batch.length
    todo = [n for n, one in enumerate(before) if one is None or _is_open(one, pass_number, retry=plan.retry)]
    outcomes = dict(enumerate(before))
    fresh = await _edit_all(runtime, [rows.items[position] for position in todo])
    paid_here = await runtime.deliveries.paid_here(fresh)
    for position, outcome in zip(todo, fresh, strict=True):
        outcomes[position] = paid_here.get(outcome.item_id) or _added_up(before[position], outcome)
    _count(runtime, before, dict(zip(todo, fresh, strict=True)), pass_number)
    final = [outcome for outcome in outcomes.values() if outcome is not None]
    if todo:
        await asyncio.to_thread(plan.folder.write_part, rows, final)
    open_rows = 0 if runtime.switch.thrown else sum(_is_open(outcome, pass_number + 1) for outcome in final)
    return BatchReport(batch=batch, open_rows=open_rows, states=dict(Counter(str(outcome.state) for outcome in final)))


def _is_open(outcome: Outcome, pass_number: int, *, retry: bool = False) -> bool:
    """Whether to take a row up (again).

    A retry takes up all that has not succeeded: rows in doubt too, for the ledger lets them pass only after the user's word.
    The same run again takes up what was put off; a later pass, what may turn out otherwise now.
    """
    if outcome.state is State.SUCCEEDED:
        return False
    if pass_number > 1:
        return outcome.error_code in _ANOTHER_PASS_MAY_HELP
    return retry or outcome.state is State.DEFERRED or outcome.error_code in _ANOTHER_PASS_MAY_HELP


async def _edit_all(runtime: Runtime, work: Sequence[Item | RowFault]) -> list[Outcome]:
    """Outcomes of rows, in their order; the ledger is asked once for what is known of all of them."""
    passes = [runtime.upstream.enter() for _ in work]
    items = [one for one in work if isinstance(one, Item)]
    found = await runtime.sources.look(items)
    keys = [
        sources.key(item, runtime.plan.config.output_format)
        for item, sources in zip(items, found, strict=True)
        if isinstance(sources, Sources)
    ]
    known = [key for key in keys if key is not None]
    await runtime.deliveries.prefetch(known)
    if known:
        await runtime.recover(known)
    by_item = dict(zip((item.item_id for item in items), found, strict=True))
    edits = []
    for one, upstream in zip(work, passes, strict=True):
        if isinstance(one, Item):
            edits.append(edit_item(runtime, one, by_item[one.item_id], upstream))
        else:
            upstream.leave()
    edited = iter(await asyncio.gather(*edits))
    return [next(edited) if isinstance(one, Item) else rejection(one) for one in work]


def _added_up(before: Outcome | None, outcome: Outcome) -> Outcome:
    """What a row has cost is what all passes and rounds of the run have spent on it."""
    if before is None:
        return outcome
    return replace(
        outcome,
        attempts=before.attempts + outcome.attempts,
        credits=before.credits + outcome.credits,
        cost_usd=before.cost_usd + outcome.cost_usd,
        started_at=before.started_at or outcome.started_at,
    )


def _count(runtime: Runtime, before: Sequence[Outcome | None], fresh: dict[int, Outcome], pass_number: int) -> None:
    for position, earlier in enumerate(before):
        if position in fresh:
            METRICS.row(fresh[position].state, fresh[position].error_code)
            counted = earlier.state if earlier is not None and pass_number > 1 else None
            runtime.progress.add(fresh[position], instead_of=counted)
        elif earlier is not None and pass_number == 1:
            runtime.progress.add(earlier)
