"""`cleanplate demo`: the real thing on real photographs, with no key, no server and no configuration."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.exits import Leave, usage_errors
from flows.commands.run import console, execute, prepare_environment
from flows.demo_catalog import BROKEN_ROW, write_demo_catalog
from manifests.summary import RunSummary
from tasks.config import CleanupConfig

DONE = 3  # exit code of a run with rows that did not succeed: the demo's broken row sees to that


def demo(
    to: Annotated[Path, typer.Option(help="Folder to work in; an earlier demo there is replaced.")] = Path(
        "demo-output"
    ),
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the log of the flow.")] = False,
) -> None:
    """Clean a small catalog of real photographs with the local engine, and show where to look."""
    prepare_environment(verbose=verbose)
    with usage_errors(console):
        folder = _empty_folder(to)
        try:
            manifest = write_demo_catalog(folder / "catalog")
        except ImportError:
            raise Leave.usage("the demo's photographs come with scikit-image: pip install 'cleanplate[demo]'") from None
    os.environ["CLEANPLATE_LEDGER_URL"] = f"sqlite:///{folder.resolve() / 'ledger.sqlite3'}"
    console.print(
        f"Editing the photographs of {manifest} with the local engine. Prefect starts a small server of its own first."
    )
    summary = execute(CleanupConfig(manifest=str(manifest), to=str(folder), run_id="demo"))
    _tell(summary, folder / "run_id=demo")


def _empty_folder(to: Path) -> Path:
    """Only what an earlier demo made is replaced."""
    if to.exists() and any(to.iterdir()):
        if not (to / "catalog" / "manifest.parquet").exists():
            raise Leave.usage(f"{to} is not empty and no earlier demo: name another folder with --to")
        shutil.rmtree(to)
    to.mkdir(parents=True, exist_ok=True)
    return to


def _tell(summary: RunSummary, run_folder: Path) -> None:
    console.print(
        f"\nThe row '{BROKEN_ROW}' holds a truncated file, to show what a failure looks like: the run goes on without it."
    )
    console.print(f"  results   {run_folder / 'results.parquet'}")
    console.print(f"  pictures  {run_folder / 'images'}")
    console.print(f"  report    {run_folder / 'report.html'}")
    raise typer.Exit(0 if summary.exit_code in {0, DONE} else summary.exit_code)
