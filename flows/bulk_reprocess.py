"""A huge manifest as many runs of catalog-cleanup over a work pool, with one ledger, one budget and one results manifest."""

import threading
from typing import Annotated

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Failed
from pydantic import Field

from flows.interruption import calling_on_signals
from flows.run_names import cleanup_run_name, scheduled_start
from flows.shard_runs import ShardRuns
from flows.shard_watch import ShardWatch
from manifests.summary import RunSummary
from tasks.config import CleanupConfig
from tasks.editing.opening import open_run
from tasks.observability import configure_logging
from tasks.plan_batches import plan_batches
from tasks.publish_report import publish_report
from tasks.report.sentences import headline, sentence
from tasks.secret_blocks import load_settings_with_blocks
from tasks.write_results import write_results


@flow(name="bulk-reprocess", flow_run_name=cleanup_run_name, validate_parameters=True)
def bulk_reprocess(
    config: CleanupConfig,
    shards: Annotated[int, Field(ge=1, le=10_000)] = 8,
    deployment: str = "catalog-cleanup/bulk-shard",
    retry: bool = False,
    silence_s: Annotated[float, Field(gt=0)] = 120,
    takeovers: Annotated[int, Field(ge=0)] = 5,
) -> State[RunSummary]:
    """Clean a manifest with as many workers as the pool has: cut it into shards, watch them, join what they did.

    Args:
        config: what to clean, where to put it, and within which bounds; budget and deadline hold for all shards together.
        shards: how many stretches of the manifest; a few for each worker, so that a slow one costs little.
        deployment: of catalog-cleanup, on the work pool whose workers do the shards.
        retry: take up again what an earlier run of the same id left unfinished.
        silence_s: a shard at work that gives no sign of life for so long is taken over by another worker.
        takeovers: how often one shard is taken over before it is given up, and its rows deferred.
    """
    settings = load_settings_with_blocks()
    configure_logging(settings)
    plan = plan_batches(config.at(scheduled_start()), retry=retry)
    open_run(plan, settings)
    stop = threading.Event()
    with get_client(sync_client=True) as client, calling_on_signals(stop.set):
        runs = ShardRuns(client, plan, silence_s=silence_s, takeovers=takeovers, deployment=deployment)
        runs.start(min(shards, plan.manifest.batch_count))
        ShardWatch(runs, plan, stop).until_all_ended()
    summary = write_results(plan)
    publish_report(plan, summary)
    if unfinished := [str(run.shard) for run in runs.runs if run.state is not StateType.COMPLETED]:
        return Failed(
            message=f"shards that did not end well: {', '.join(unfinished)}; {sentence(summary)}", data=summary
        )
    return Completed(name=headline(summary), message=sentence(summary), data=summary)
