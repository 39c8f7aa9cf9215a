"""What is done once for a run, and not by each of its workers."""

import asyncio

from tasks.config import ConfigurationError, Settings
from tasks.credits import Ledger, LedgerError
from tasks.editing.planned_run import PlannedRun


def open_run(plan: PlannedRun, settings: Settings) -> None:
    """Set the run's budget in the ledger, and let accounts that are parked without a date be tried by one request.

    Raises:
        ConfigurationError: the ledger cannot be opened.
    """
    asyncio.run(_open_run(plan, settings))


async def _open_run(plan: PlannedRun, settings: Settings) -> None:
    try:
        async with await Ledger.open(settings.ledger_url.get_secret_value()) as ledger:
            await ledger.open_run(plan.run_id, plan.config.budget_usd, probe_parked=True)
    except LedgerError as error:
        raise ConfigurationError(f"the ledger cannot be opened (CLEANPLATE_LEDGER_URL): {error}") from error
