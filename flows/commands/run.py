"""`cleanplate run` and `cleanplate retry`: the flow from a terminal, cron or CI."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from flows.commands.exits import usage_errors
from flows.commands.knobs import read_knobs, read_money
from flows.commands.live import live_progress
from flows.commands.plan import show_plan
from flows.commands.rehearsal import rehearsal, rehearsal_id
from manifests.run_folder import RunFolder
from manifests.summary import RunSummary
from tasks.config import CleanupConfig, load_settings
from tasks.editing.planning import check_run
from tasks.editing.prices import price_warnings
from tasks.report.sentences import sentence

console = Console(stderr=True, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on standard output.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file instead of ./cleanplate.toml.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log of the flow.")]


def run(
    manifest: Annotated[str, typer.Argument(help="The manifest: a Parquet file, a folder of them, local or s3://.")],
    to: Annotated[str, typer.Option(help="Folder or bucket prefix for the run folder run_id=<id>/.")],
    provider: Annotated[
        list[str] | None, typer.Option(help="Who may be asked; repeat in order of preference. Default: local.")
    ] = None,
    policy: Annotated[str, typer.Option(help="cheapest, fastest or ordered.")] = "cheapest",
    budget_usd: Annotated[str | None, typer.Option(help="Ceiling of this run's spending, US dollars.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Start nothing new after this long: 90s, 30m, 2h.")] = None,
    run_id: Annotated[str | None, typer.Option(help="Same id, same run: takes up where it stopped.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="Of the local provider: patchmatch, telea, ns or lama-onnx.")
    ] = None,
    output_format: Annotated[
        str, typer.Option("--format", help="Of delivered pictures: source, jpeg, png or webp.")
    ] = "source",
    batches_in_flight: Annotated[int, typer.Option(help="Batches of 50 under way at once.")] = 8,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox", help="Rehearse for $0: every provider is a stand-in on this machine, with a ledger of its own."
        ),
    ] = False,
    scenario: Annotated[
        Path | None, typer.Option(help="With --sandbox: TOML file of limits, credits and faults.")
    ] = None,
    passes: Annotated[int, typer.Option(help="Sweeps over what is still open.")] = 3,
    fresh: Annotated[bool, typer.Option("--fresh", help="Edit (and pay) again what an earlier run delivered.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan of `cleanplate plan`, and stop.")] = False,
    config: ConfigFile = None,
    json_summary: Json = False,
    verbose: Verbose = False,
) -> None:
    """Clean the pictures of a manifest and write the results manifest, one outcome a row."""
    prepare_environment(config=config, verbose=verbose)
    if engine:
        os.environ["CLEANPLATE_PROVIDERS__LOCAL__ENGINE"] = engine
    with usage_errors(console):
        knobs = read_knobs(
            manifest=manifest,
            to=to,
            providers=tuple(provider or ("local",)),
            policy=policy,
            budget_usd=read_money(budget_usd),
            deadline=deadline,
            run_id=rehearsal_id(manifest, run_id) if sandbox else run_id,
            output_format=output_format,
            passes=passes,
            batches_in_flight=batches_in_flight,
            reuse=not fresh,
        )
    with rehearsal(scenario) if sandbox else nullcontext():
        if dry_run:
            show_plan(knobs, as_json=json_summary)
        summary = execute(knobs)
    finish(summary, json_summary=json_summary)


def retry(
    run_folder: Annotated[str, typer.Argument(help="The folder run_id=<id> of an earlier run.")],
    provider: Annotated[list[str] | None, typer.Option(help="Ask these instead.")] = None,
    budget_usd: Annotated[str | None, typer.Option(help="New ceiling for the whole run, US dollars.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Start nothing new after this long.")] = None,
    config: ConfigFile = None,
    json_summary: Json = False,
    verbose: Verbose = False,
) -> None:
    """Take up again only what has not succeeded; the results manifest is brought up to date in place."""
    prepare_environment(config=config, verbose=verbose)
    with usage_errors(console):
        earlier = RunFolder(run_folder).read_config()
        changes: dict[str, Any] = {
            "providers": tuple(provider) if provider else None,
            "budget_usd": read_money(budget_usd),
            "deadline": deadline,
        }
        knobs = read_knobs(**{**earlier, **{name: value for name, value in changes.items() if value is not None}})
    finish(execute(knobs, retry=True), json_summary=json_summary)


def execute(knobs: CleanupConfig, *, retry: bool = False) -> RunSummary:
    """Run the flow with a live display; a user's mistake ends the process with its message."""
    from flows.catalog_cleanup import catalog_cleanup  # Prefect takes seconds to import; `--help` should not
    from flows.commands.own_server import own_server  # as the flow: it imports Prefect

    with usage_errors(console), live_progress(console):
        # Before Prefect, which takes seconds to say less; keys in its Secret blocks are looked at when the run begins.
        settings = load_settings()
        check_run(knobs, settings, retry=retry, load_secret=lambda name: name)
        for warning in price_warnings(knobs.providers, settings):
            console.print(Text.assemble(("Warning: ", "bold yellow"), warning))
        with own_server():
            state: Any = catalog_cleanup(knobs, retry=retry, return_state=True)
        summary: RunSummary = state.result()  # raises what the flow raised
    console.print(sentence(summary), highlight=False)
    return summary


def finish(summary: RunSummary, *, json_summary: bool) -> None:
    """End the process with the exit code that the summary earns."""
    if json_summary:
        sys.stdout.write(summary.to_json() + "\n")
    raise typer.Exit(summary.exit_code)


def prepare_environment(*, config: Path | None = None, verbose: bool = False) -> None:
    """What is read from the environment later: by Prefect when it is imported, by `load_settings` when it is called."""
    if verbose:
        os.environ["PREFECT_LOGGING_LEVEL"] = "INFO"
    if config is not None:
        os.environ["CLEANPLATE_CONFIG"] = str(config)
