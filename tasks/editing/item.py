"""The life of one row: recognise → read → check → route → send → fetch → judge → store → book. One outcome, whatever happens."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

from manifests.error_codes import ErrorCode
from manifests.items import Item
from manifests.outcomes import Outcome, State
from tasks.credits import LedgerError
from tasks.editing.deliveries import reused_outcome
from tasks.editing.errors import StoppedError
from tasks.editing.runtime import Runtime
from tasks.editing.search import ProviderSearch
from tasks.editing.sources import SourceError, Sources
from tasks.editing.storage import StorageError
from tasks.editing.upstream import UpstreamPass
from tasks.editing.workpiece import Workpiece
from tasks.observability import log_context

log = logging.getLogger(__name__)


async def edit_item(runtime: Runtime, item: Item, sources: Sources | SourceError, upstream: UpstreamPass) -> Outcome:
    """One row, from the versions of its files to its final fact. Raises only when it is cancelled."""
    started = datetime.fromtimestamp(runtime.clock(), UTC)
    try:
        with log_context(item_id=item.item_id):
            outcome = await _edit(runtime, item, sources, upstream)
    except SourceError as error:
        state = State.REJECTED if error.missing else State.FAILED
        outcome = _unhappy(item, state, error.code, error.message)
    except StoppedError as stopped:
        outcome = _unhappy(item, State.DEFERRED, stopped.code, str(stopped))
    except StorageError as error:
        outcome = _unhappy(item, State.FAILED, ErrorCode.STORE_FAILED, str(error))
    except LedgerError as error:
        outcome = _unhappy(item, State.DEFERRED, ErrorCode.PROVIDER_UNAVAILABLE, f"the ledger: {error}")
    except Exception as error:  # a defect must cost one row, never the run
        log.exception("item %s: unexpected error", item.item_id)
        outcome = _unhappy(item, State.FAILED, ErrorCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}"[:500])
    finally:
        upstream.leave()
    return replace(outcome, started_at=started, finished_at=datetime.fromtimestamp(runtime.clock(), UTC))


async def _edit(runtime: Runtime, item: Item, sources: Sources | SourceError, upstream: UpstreamPass) -> Outcome:
    if isinstance(sources, SourceError):
        raise sources
    output_format = runtime.plan.config.output_format
    key = sources.key(item, output_format)
    if key is not None and (delivery := await runtime.deliveries.get(key)) is not None:
        return reused_outcome(item.item_id, delivery)
    runtime.switch.check()
    async with runtime.memory.hold(sources.size_bytes):
        sources = await runtime.switch.unless_stopped(runtime.sources.read(sources))
        key = sources.known_key(item, output_format)
        async with runtime.once.alone(key):
            delivery = await runtime.deliveries.get(key)
            if delivery is not None:
                return reused_outcome(item.item_id, delivery)
            piece = Workpiece(runtime, item, sources)
            try:
                return await ProviderSearch(runtime, piece, key, upstream).outcome()
            finally:
                piece.let_go()


def _unhappy(item: Item, state: State, code: ErrorCode, message: str) -> Outcome:
    return Outcome(item_id=item.item_id, state=state, error_code=code, error_message=message)
