"""`cleanplate serve`: the nightly run and its helpers on one machine, by schedule, in this process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.commands.exits import Leave, usage_errors
from flows.commands.knobs import read_knobs, read_money
from flows.commands.run import ConfigFile, prepare_environment
from tasks.config import CleanupConfig
from tasks.config.upkeep import RetryDeferredConfig
from tasks.local_prefect import LocalPrefectError, local_prefect

console = Console(stderr=True)
_AT_ONCE = 3  # the nightly run, and its two helpers beside it
_PORT = 4200  # where Prefect's own documents look for a server


def serve(
    manifest: Annotated[
        str, typer.Argument(help="The manifest; may hold dates: s3://catalog/{scheduled:%Y-%m-%d}.parquet.")
    ],
    to: Annotated[str, typer.Option(help="Folder or bucket prefix for the run folders.")],
    cron: Annotated[str, typer.Option(help="When the catalog is cleaned.")] = "30 1 * * *",
    timezone: Annotated[str, typer.Option(help="Whose half past one.")] = "UTC",
    provider: Annotated[
        list[str] | None, typer.Option(help="Who may be asked; repeat in order of preference. Default: local.")
    ] = None,
    budget_usd: Annotated[str | None, typer.Option(help="Ceiling of each night's spending, US dollars.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Start nothing new after this long: 90s, 30m, 5h.")] = None,
    retry_deferred: Annotated[bool, typer.Option(help="Each hour, take up deferred rows.")] = True,
    reconcile: Annotated[bool, typer.Option(help="Each day, compare our books with the providers' balances.")] = True,
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Of the Prefect server that is started when PREFECT_API_URL names none."),
    ] = _PORT,
    config: ConfigFile = None,
) -> None:
    """Clean a catalog by schedule, on this machine alone, until Ctrl-C. A night that is still at work is not joined by the next."""
    prepare_environment(config=config, verbose=True)
    with usage_errors(console):
        knobs = read_knobs(
            manifest=_whole(manifest),
            to=_whole(to),
            run_id=f"nightly-{{scheduled@{timezone}:%Y-%m-%d-%H%M}}",
            providers=tuple(provider or ("local",)),
            budget_usd=read_money(budget_usd),
            deadline=deadline,
        )
        with _server(port):
            from prefect import serve as serve_deployments

            serve_deployments(*_deployments(knobs, cron, timezone, retry_deferred, reconcile), limit=_AT_ONCE)


def _whole(place: str) -> str:
    """Runs may start in another folder than this one."""
    return place if "://" in place else str(Path(place).absolute())


@contextmanager
def _server(port: int) -> Iterator[None]:
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    if get_current_settings().api.url is not None:
        yield
        return
    try:
        with local_prefect(port=port) as api, temporary_settings({PREFECT_API_URL: api}):
            os.environ["PREFECT_API_URL"] = api
            console.print(f"Prefect is at {api.removesuffix('/api')} while this lasts.", highlight=False)
            yield
    except LocalPrefectError as error:
        raise Leave.usage(
            f"{error}\nIs port {port} taken? Give another with --port, or name a server in PREFECT_API_URL."
        ) from None


def _deployments(
    knobs: CleanupConfig, cron: str, timezone: str, with_retries: bool, with_reconciliation: bool
) -> list[Any]:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows.catalog_cleanup import catalog_cleanup
    from flows.ledger_reconcile import ledger_reconcile
    from flows.retry_deferred import retry_deferred

    common: dict[str, Any] = {
        "tags": ["cleanplate"],
        "entrypoint_type": EntrypointType.MODULE_PATH,
        "concurrency_limit": ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
    }
    parameters = {"config": knobs.model_dump(mode="json")}
    made = [
        catalog_cleanup.to_deployment("serve-nightly", schedule=_cron(cron, timezone), parameters=parameters, **common)
    ]
    if with_retries:
        parameters = {"config": RetryDeferredConfig(to=knobs.to).model_dump(mode="json")}
        made.append(
            retry_deferred.to_deployment("serve-retry", schedule=Cron("15 * * * *"), parameters=parameters, **common)
        )
    if with_reconciliation:
        made.append(ledger_reconcile.to_deployment("serve-reconcile", schedule=_cron("45 6 * * *", timezone), **common))
    return made


def _cron(cron: str, timezone: str) -> Any:
    from prefect.schedules import Cron

    try:
        return Cron(cron, timezone=timezone)
    except ValueError as error:
        raise Leave.usage(f"this schedule cannot be kept: {error}") from None
