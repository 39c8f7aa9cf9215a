"""`cleanplate doctor`: what is wrong with this installation, and what to do."""

import asyncio
import base64
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.commands.run import prepare_environment
from tasks.doctor import Check, PrefectServer, Status, World, diagnose

SOMETHING_FAILS = 3
_COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def doctor(
    manifest: Annotated[str | None, typer.Option(help="Also look whether this manifest can be read.")] = None,
    to: Annotated[str | None, typer.Option(help="Also look whether results can be written here.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file instead of ./cleanplate.toml.")
    ] = None,
    patience_s: Annotated[float, typer.Option(min=1, max=300, help="How long each check may take, seconds.")] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON on standard output.")] = False,
) -> None:
    """Check configuration, keys (without showing them), providers, ledger, staging, clock, versions, space and Prefect.

    Costs nothing. Exit code 0: it will run (warnings allowed); 3: something will not work.
    """
    prepare_environment(config=config)
    from tasks.secret_blocks import load_secret

    world = World(prefect=_prefect_server(), patience_s=patience_s)
    found = asyncio.run(diagnose(world, load_secret=load_secret, manifest=manifest, to=to))
    if as_json:
        sys.stdout.write(json.dumps([asdict(check) for check in found], indent=2) + "\n")
    else:
        _print(found)
    raise typer.Exit(SOMETHING_FAILS if any(check.status is Status.FAIL for check in found) else 0)


def _prefect_server() -> PrefectServer:
    """As Prefect itself has it configured, by environment or profile."""
    from prefect.settings import get_current_settings

    api = get_current_settings().api
    headers = {}
    if api.auth_string is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(api.auth_string.get_secret_value().encode()).decode()
    elif api.key is not None:
        headers["Authorization"] = f"Bearer {api.key.get_secret_value()}"
    return PrefectServer(api_url=api.url, headers=headers)


def _print(found: list[Check]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found:
        advice = f"\n[bold]→ {escape(check.to_do)}[/bold]" if check.to_do else ""
        table.add_row(f"[{_COLOURS[check.status]}]{check.status}[/]", escape(check.name), escape(check.what) + advice)
    Console().print(table, highlight=False)
