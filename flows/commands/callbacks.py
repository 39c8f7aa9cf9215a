"""`cleanplate callbacks`: receive providers' callbacks for the runs on this ledger."""

import asyncio
import logging
import socket
import sys
from typing import Annotated, NoReturn

import typer

from tasks.callbacks import LedgerInbox, make_app, serve
from tasks.callbacks.server import address_of, listen
from tasks.config import ConfigurationError, Settings, load_settings
from tasks.config.services import CallbackSettings
from tasks.credits import Ledger, LedgerError

USAGE = 2


def callbacks(
    host: Annotated[str | None, typer.Option(help="Loopback by default; put a TLS proxy in front.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one.")] = None,
) -> None:
    """Receive Runflow's and ModelsLab's callbacks, verify them, and wake the runs that wait. Polling alone works too."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        settings = load_settings()
        changes = {"host": host, "port": port}
        own = settings.callbacks.model_copy(update={k: v for k, v in changes.items() if v is not None})
        asyncio.run(_receive(settings, own, _listener(own)))
    except (ConfigurationError, LedgerError) as error:
        _refuse(str(error))


def _listener(own: CallbackSettings) -> socket.socket:
    try:
        return listen(own)
    except OSError as error:
        _refuse(f"cannot listen on {own.host}:{own.port}: {error.strerror}; choose another with --port, or --port 0")


async def _receive(settings: Settings, own: CallbackSettings, listener: socket.socket) -> None:
    async with await Ledger.open(settings.ledger_url.get_secret_value(), durable=settings.ledger_durable) as ledger:
        app = make_app(own, LedgerInbox(ledger))
        await serve(app, listener, ready=lambda: _greet(own, listener))


def _greet(own: CallbackSettings, listener: socket.socket) -> None:
    heard = [name for name, secrets in (("runflow", own.secrets), ("modelslab", own.modelslab_tokens)) if secrets]
    typer.echo(f"Callbacks of {' and '.join(heard)} are received on {address_of(listener)}. Ctrl-C ends it.")
    if own.public_url is None:
        typer.echo(
            "No provider is told to call back yet: set CLEANPLATE_CALLBACKS__PUBLIC_URL to this server's https:// address."
        )


def _refuse(message: str) -> NoReturn:
    typer.echo(f"cleanplate callbacks: {message}", err=True)
    raise typer.Exit(USAGE)
