"""`cleanplate report`: write a run's page again."""

from typing import Annotated

import typer

from tasks.config import ConfigurationError, load_settings
from tasks.report.page import write_report
from tasks.report.places import ResultsNotFoundError, ResultsUnreadableError


def report(
    run_folder: Annotated[
        str, typer.Argument(metavar="RUN_FOLDER", help="A run folder: local, s3:// or any fsspec URL.")
    ],
) -> None:
    """Write report.html into a run folder, from its results.parquet and summary.json."""
    try:
        load_settings()  # so that s3:// goes where the configuration says
        typer.echo(write_report(run_folder))
    except (ConfigurationError, ResultsNotFoundError, ResultsUnreadableError) as reason:
        typer.echo(f"cleanplate report: {reason}", err=True)
        raise typer.Exit(2) from None
