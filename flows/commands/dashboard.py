"""`cleanplate dashboard`: look at runs in a browser, and judge their pictures."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from flows.commands.ledger_facts import LedgerBook
from tasks.config import ConfigurationError, load_settings
from tasks.credits import LedgerError
from tasks.credits.location import data_folder
from tasks.report.dashboard.ledger_facts import LedgerFacts
from tasks.report.dashboard.serving import DashboardOptions, serve
from tasks.report.places import ResultsNotFoundError


def dashboard(
    results: Annotated[
        str, typer.Argument(metavar="RESULTS", help="A run folder or any folder above: local, s3:// or any fsspec URL.")
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 8050,
    review: Annotated[bool, typer.Option("--review", help="Allow decisions: accept, reject, redo.")] = False,
    reviewer: Annotated[str | None, typer.Option(help="Name written into decisions; yours when not given.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="CLEANPLATE_DASHBOARD_TOKEN", help="Ask for this token, on loopback too.")
    ] = None,
    web_pictures: Annotated[
        bool, typer.Option("--web-pictures", help="Also fetch pictures that rows name by http(s).")
    ] = False,
) -> None:
    """Serve a dashboard over any number of runs until Ctrl-C. Read-only unless --review."""
    options = DashboardOptions(
        results=results,
        host=host,
        port=port,
        review=review,
        reviewer=(reviewer or _user()) if review else "",
        token=token,
        web_pictures=web_pictures,
    )
    try:
        with _ledger() as ledger:
            serve(options, ledger=ledger, opened=_greet)
    except OSError as error:
        _refuse(error.strerror or str(error))
    except (ResultsNotFoundError, ConfigurationError, ValueError) as reason:
        _refuse(str(reason))


def _refuse(reason: str) -> NoReturn:
    typer.echo(f"cleanplate dashboard: {reason}", err=True)
    raise typer.Exit(2)


def _greet(address: str) -> None:
    typer.echo(f"Dashboard at {address}  (Ctrl-C ends it)")


@contextmanager
def _ledger() -> Iterator[LedgerFacts | None]:
    """The ledger's facts where there is a ledger; looking makes none."""
    url = load_settings().ledger_url.get_secret_value()
    if not url and not (data_folder() / "ledger.sqlite3").exists():
        yield None
        return
    try:
        book = LedgerBook.open(url)
    except LedgerError as reason:
        typer.echo(f"cleanplate dashboard: shown without balances and requests: {reason}", err=True)
        yield None
        return
    try:
        yield book
    finally:
        book.close()


def _user() -> str:
    """Nobody's name is no reason to stop."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
