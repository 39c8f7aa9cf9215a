"""A huge manifest as many runs of catalog-cleanup over a work pool, with one ledger, one budget and one results manifest."""

import logging
import threading
from typing import Annotated

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Failed
from pydantic import Field

from flows.interruption import calling_on_signals
from flows.run_names import cleanup_run_name, scheduled_start
from flows.shard_pool import ShardPool
from flows.shard_runs import ShardRun, ShardRuns
from flows.shard_starter import ShardStarter
from flows.shard_watch import ShardWatch
from manifests.summary import RunSummary
from tasks.config import CleanupConfig, Settings
from tasks.editing.opening import open_run
from tasks.observability import configure_logging
from tasks.plan_batches import plan_batches
from tasks.publish_report import publish_report
from tasks.report.sentences import headline, sentence
from tasks.secret_blocks import load_settings_with_blocks
from tasks.write_results import write_results

log = logging.getLogger(__name__)


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

    When this flow itself dies, its shards go on: the same run id again watches them to their end.

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
    stop = threading.Event()
    with get_client(sync_client=True) as client, calling_on_signals(stop.set):
        pool = ShardPool.of(client, deployment)
        warn_of_a_local_ledger(settings)
        plan = plan_batches(config.at(scheduled_start()), retry=retry)
        open_run(plan, settings)
        starter = ShardStarter(client, plan, deployment)
        runs = ShardRuns(client, plan.folder, starter, silence_s=silence_s, takeovers=takeovers)
        runs.start(min(shards, plan.manifest.batch_count))
        ShardWatch(runs, pool, plan, stop, ends_at=starter.ends_at).until_all_ended()
    summary = write_results(plan)
    publish_report(plan, summary)
    if why := unfinished(runs.runs):
        return Failed(message=f"{'stopped; ' if stop.is_set() else ''}{why}; {sentence(summary)}", data=summary)
    return Completed(name=headline(summary), message=sentence(summary), data=summary)


def warn_of_a_local_ledger(settings: Settings) -> None:
    """A shard whose worker has other books refuses to begin; better to hear of it now."""
    if not settings.ledger_url.get_secret_value().startswith("postgres"):
        log.warning(
            "the ledger is a SQLite file: only workers on this machine can share it. For several machines, set "
            "CLEANPLATE_LEDGER_URL to a PostgreSQL database, here and at every worker"
        )


def unfinished(runs: list[ShardRun]) -> str:
    """`2 of 8 shards did not end well: 3/8 failed (…), 5/8 given up (…)`; empty when all did. The reasons of the first three."""
    ill = [run for run in runs if run.state is not StateType.COMPLETED]
    if not ill:
        return ""
    told = [f"{run.shard} {run.ended_as}{f' ({run.message})' if run.message else ''}" for run in ill[:3]]
    return f"{len(ill)} of {len(runs)} shards did not end well: {', '.join(told)}{' …' if len(ill) > 3 else ''}"
