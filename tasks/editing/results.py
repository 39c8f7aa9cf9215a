"""From the parts to the results manifest and its summary."""

from dataclasses import replace

import pyarrow as pa

from manifests.error_codes import ErrorCode
from manifests.items import Item
from manifests.merge import merge_results
from manifests.outcomes import Outcome, State
from manifests.summary import Expected, RunSummary, summarise, write_summary
from tasks.editing.planned_run import PlannedRun


def join_results(plan: PlannedRun, expected: Expected | None = None) -> RunSummary:
    """One outcome for every row of the manifest, in its order; rows that no batch came to are deferred.

    `expected`: what the run was planned to cost and take, for the summary.
    """
    merge_results(plan.folder, plan.manifest, unfinished=_not_begun)
    summary = replace(summarise(plan.folder, plan.config.manifest), plan=expected)
    write_summary(plan.folder, summary)
    pa.default_memory_pool().release_unused()  # the report is made in this process
    return summary


def _not_begun(item: Item) -> Outcome:
    return Outcome(
        item_id=item.item_id,
        state=State.DEFERRED,
        error_code=ErrorCode.INTERRUPTED,
        error_message="the run ended before this row was begun; `cleanplate retry` goes on",
    )
