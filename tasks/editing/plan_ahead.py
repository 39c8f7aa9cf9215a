"""The plan of a run from what is at hand: the manifest's rows, the ledger's books, the configuration. Nothing is sent or spent."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import ceil
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.config import BATCH_SIZE, MOST_BATCHES_IN_FLIGHT, CleanupConfig, ConfigurationError, Settings
from tasks.config.providers import LocalSettings
from tasks.credits import BalanceLine, Endpoint, Ledger, LedgerError
from tasks.editing.prices import price_warnings
from tasks.editing.row_counts import Counted, Look, count_closely
from tasks.providers.base import Provider
from tasks.providers.keys import LoadSecret
from tasks.providers.local.provider import available_cores
from tasks.providers.registry import make_providers
from tasks.routing import Parked, PolicyName, ProviderView, rows_to_keep_open, view_of
from tasks.routing.planner import Plan, make_plan

_DOUBT: Final = 0.05  # of the rows: more unknown than this is worth a note


async def plan_ahead(
    config: CleanupConfig,
    settings: Settings,
    *,
    look: Look = Look.AUTO,
    load_secret: LoadSecret | None = None,
    progress: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Plan:
    """What a run with this configuration would do, cost and take.

    Args:
        config: the run's; nothing is written to `to`.
        settings: the installation's.
        look: how closely to look at the rows.
        load_secret: reads a Prefect Secret block, where a provider's key lies in one.
        progress: told the number of rows of each step.
        clock: seconds since the epoch.

    Raises:
        ManifestError: the manifest cannot be used.
        ConfigurationError: a provider is unknown, off or has no key; or the ledger cannot be opened.
    """
    providers = make_providers(config.providers, settings, load_secret=load_secret)
    try:
        async with await Ledger.open(settings.ledger_url.get_secret_value()) as ledger:
            counted = await count_closely(config, settings, ledger, look, progress=progress)
            views = await _views(providers.values(), config, settings, ledger)
    except LedgerError as error:
        raise ConfigurationError(f"the ledger cannot be used (CLEANPLATE_LEDGER_URL): {error}") from error
    finally:
        for provider in providers.values():
            await provider.aclose()
    made = make_plan(
        counted.tally.classes,
        views,
        now=clock(),
        policy=PolicyName(config.policy),
        deadline_s=config.deadline_s,
        budget_usd=config.budget_usd,
        reused=counted.reused,
        rejected=counted.tally.rejected,
        notes=[*_notes(counted, views, settings), *_crowding(counted, views, config)],
    )
    return replace(made, warnings=tuple(price_warnings(config.providers, settings)))


async def _views(
    providers: Iterable[Provider], config: CleanupConfig, settings: Settings, ledger: Ledger
) -> list[ProviderView]:
    """Each provider as settings and books have it, in the user's order."""
    books = {line.provider: line for line in await ledger.balances()}
    views = []
    for provider in providers:
        own = settings.providers.of(provider.key)
        at_once = config.batches_in_flight * BATCH_SIZE
        if isinstance(own, LocalSettings):
            at_once = own.workers or available_cores()
        line = books.get(provider.key)
        view = view_of(
            provider.key,
            provider.capabilities,
            own,
            settings.routing,
            preflight=settings.preflight,
            credits_left=None if line is None or line.credits is None else line.credits - line.credits_held,
            usd_left=None if line is None or line.usd is None else line.usd - line.usd_held,
            at_once=at_once,
            parked=_parked(line),
        )
        views.append(view if line is None else await _measured(view, ledger))
    return views


async def _measured(view: ProviderView, ledger: Ledger) -> ProviderView:
    """With the time that requests took lately, where the ledger knows."""
    single = (await ledger.outlook(view.key, Endpoint.SINGLE)).mean_request_s
    return view if single is None or view.batch else replace(view, single=replace(view.single, latency_s=single))


def _parked(line: BalanceLine | None) -> Parked | None:
    if line is None or line.parked_reason is None:
        return None
    until = line.next_try_at.timestamp() if line.next_try_at else None
    return Parked(code=ErrorCode.OUT_OF_CREDITS, message=line.parked_reason, until=until)


def _notes(counted: Counted, views: Sequence[ProviderView], settings: Settings) -> list[str]:
    """What the figures rest on, so that nobody takes them for more."""
    notes = []
    if counted.look is Look.ROWS:
        notes.append("Rows were counted by their columns; --look files finds what is missing or was delivered before.")
    elif counted.unknown_content > _DOUBT * max(1, counted.tally.rows):
        some = f"{counted.unknown_content:,} rows"
        notes.append(f"{some} hold files that were never read: they may turn out to be delivered before, or unfit.")
    for view in views:
        own = settings.providers.of(view.key)
        if not view.local and not view.single.pace.windows and own.max_in_flight is None:
            notes.append(f"{view.key} states no rate limit: {view.max_in_flight} requests at once are assumed.")
    return notes


def _crowding(counted: Counted, views: Sequence[ProviderView], config: CleanupConfig) -> list[str]:
    """Where the run keeps fewer rows under way than the stated limits can take, it is slower than the plan."""
    open_rows = config.batches_in_flight * BATCH_SIZE
    useful = min(rows_to_keep_open([view for view in views if view.single.pace.windows]), counted.tally.rows)
    if useful <= open_rows:
        return []
    batches = min(MOST_BATCHES_IN_FLIGHT, ceil(useful / BATCH_SIZE))
    return [
        f"{open_rows:,} rows are under way at once, and the limits can take {useful:,}: "
        f"with --batches-in-flight {batches} they are used to the full."
    ]
