"""`cleanplate automations`: alerts and self-repair in Prefect, from one file."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import SecretStr

from tasks.config import ConfigurationError, load_settings
from tasks.config.operations import AlertSettings

app = typer.Typer(help="Alerts and self-repair in Prefect, from deployments/automations.yaml.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `apply` a sub-command although it is the only one."""


@app.command()
def apply(
    url: Annotated[
        str | None,
        typer.Option(
            help="Whom to tell: an address that takes an HTTP POST. Better in CLEANPLATE_ALERTS__URL or …__URL_FILE."
        ),
    ] = None,
    style: Annotated[Literal["json", "slack", "teams"] | None, typer.Option(help="How the message is wrapped.")] = None,
    file: Annotated[Path | None, typer.Option(help="Another file than the one that comes with cleanplate.")] = None,
) -> None:
    """Bring Prefect's automations to what the file says. Running it again changes nothing."""
    from tasks.apply_automations import (
        apply_automations,
        read_specs,
    )  # Prefect takes seconds to import; `--help` should not

    try:
        alerts = _alerts(url, style)
        _require_server()
        done = asyncio.run(apply_automations(read_specs(file), alerts))
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for one in done:
        typer.echo(f"{one.change:<10} {one.name}")


def _require_server() -> None:
    from prefect.settings import get_current_settings  # as above

    if get_current_settings().api.url is None:
        raise ConfigurationError("no Prefect server: set PREFECT_API_URL, such as http://127.0.0.1:4200/api")


def _alerts(url: str | None, style: Literal["json", "slack", "teams"] | None) -> AlertSettings:
    alerts = load_settings().alerts
    given = {"url": url and SecretStr(url), "url_file": None if url else alerts.url_file, "style": style}
    return alerts.model_copy(
        update={name: value for name, value in given.items() if value or (url and name == "url_file")}
    )
