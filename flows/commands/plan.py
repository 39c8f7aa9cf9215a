"""`cleanplate plan`: who would do what, what it would cost and when it would end, before anything is spent."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from flows.commands.exits import usage_errors
from flows.commands.knobs import read_knobs, read_money
from flows.commands.plan_page import render_plan
from tasks.config import CleanupConfig, load_settings
from tasks.editing.plan_ahead import plan_ahead
from tasks.editing.row_counts import Look
from tasks.routing.planner import Plan

INCOMPLETE = 3  # the plan leaves rows undone

console = Console(stderr=True, soft_wrap=True)


def plan(
    manifest: Annotated[str, typer.Argument(help="The manifest: a Parquet file, a folder of them, local or s3://.")],
    provider: Annotated[
        list[str] | None, typer.Option(help="Who may be asked; repeat in order of preference. Default: local.")
    ] = None,
    policy: Annotated[str, typer.Option(help="cheapest, fastest or ordered.")] = "cheapest",
    budget_usd: Annotated[str | None, typer.Option(help="The most to spend, US dollars.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Every row done within this: 90s, 30m, 2h.")] = None,
    look: Annotated[
        Look,
        typer.Option(help="How closely: rows (columns only), files (also what is there), pixels (also preflight)."),
    ] = Look.AUTO,
    batches_in_flight: Annotated[int, typer.Option(help="As for the run: batches of 50 under way at once.")] = 8,
    fresh: Annotated[bool, typer.Option("--fresh", help="Count what an earlier run delivered as work to do.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file instead of ./cleanplate.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON on standard output.")] = False,
) -> None:
    """Show who would do what, what it would cost and when it would end. Sends nothing, spends nothing.

    Exit code 0: every row that can be sent is in the plan; 3: some are not, and it says why.
    """
    if config is not None:
        os.environ["CLEANPLATE_CONFIG"] = str(config)
    with usage_errors(console):
        knobs = read_knobs(
            manifest=manifest,
            to=".",  # nothing is written
            providers=tuple(provider or ("local",)),
            policy=policy,
            budget_usd=read_money(budget_usd),
            deadline=deadline,
            batches_in_flight=batches_in_flight,
            reuse=not fresh,
        )
    show_plan(knobs, look=look, as_json=as_json)


def show_plan(knobs: CleanupConfig, *, look: Look = Look.AUTO, as_json: bool = False) -> NoReturn:
    """Make the plan of a run, print it, and end the process."""
    with usage_errors(console):
        made = _make(knobs, look)
    if as_json:
        sys.stdout.write(json.dumps(made.to_json(), indent=2) + "\n")
    else:
        render_plan(made, Console(highlight=False))
    raise typer.Exit(INCOMPLETE if made.not_done else 0)


def _make(knobs: CleanupConfig, look: Look) -> Plan:
    seen = 0
    with console.status("Reading the manifest …") as status:

        def progress(rows: int) -> None:
            nonlocal seen
            seen += rows
            status.update(f"Reading the manifest … {seen:,} rows")

        return asyncio.run(plan_ahead(knobs, load_settings(), look=look, progress=progress))
