"""`cleanplate sandbox`: the vendors' stand-in on this machine, to rehearse against."""

import asyncio
import contextlib
import logging
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from tasks.providers.sandbox.bill import BillError
from tasks.providers.sandbox.config import SandboxConfig, ScenarioError, explain
from tasks.providers.sandbox.process import VENDOR_KEYS, sandbox_settings

USAGE = 2
PORT = 8765
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def sandbox(
    port: Annotated[int | None, typer.Option(help="0: any free one. [default: 8765]", min=0, max=65_535)] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    scenario: Annotated[Path | None, typer.Option(help="TOML file: vendors, accounts, limits, faults.")] = None,
    credits: Annotated[
        list[str] | None, typer.Option(help="What each account holds at the start, such as maskr=300; repeatable.")
    ] = None,
    bill: Annotated[Path | None, typer.Option(help="SQLite file for the bill; an existing one is continued.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Flat fills instead of inpainting, for throughput.")] = False,
) -> None:
    """Serve every vendor's wire on this machine, keep their bill, and fail when told to. Costs nothing, needs no key."""
    given = {"port": port, "host": host, "bill": bill, "engine": "quick" if quick else None}
    try:
        config = _config(scenario, credits or [], {name: value for name, value in given.items() if value is not None})
        _serve(config)
    except (ScenarioError, BillError) as error:
        _refuse(str(error))


def _config(scenario: Path | None, credits: list[str], given: dict[str, Any]) -> SandboxConfig:
    """The scenario's settings; what the command line gives wins."""
    config = SandboxConfig.from_toml(scenario) if scenario else SandboxConfig()
    port = {} if "port" in config.model_fields_set else {"port": PORT}
    changes = {name: {"credits": amount} for name, amount in map(_opening, credits)}
    merged = {name: getattr(config, name).model_dump() | change for name, change in changes.items()}
    try:
        return SandboxConfig.model_validate(config.model_dump() | port | merged | given)
    except ValidationError as error:
        raise ScenarioError(f"the options cannot be used:\n{explain(error)}") from None


def _opening(text: str) -> tuple[str, Decimal]:
    """`maskr=300` → vendor and amount."""
    vendor, _, amount = text.partition("=")
    if vendor not in VENDOR_KEYS:
        raise ScenarioError(f"--credits {text}: expected VENDOR=AMOUNT with one of {', '.join(VENDOR_KEYS)}")
    try:
        return vendor, Decimal(amount)
    except InvalidOperation:
        raise ScenarioError(f"--credits {text}: '{amount}' is no number") from None


def _serve(config: SandboxConfig) -> None:
    from tasks.providers.sandbox.server import address_of, listen, serve  # half a second, spared every other command

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        listener = listen(config)
    except OSError as error:
        _refuse(f"cannot listen on {config.host}:{config.port}: {error.strerror}; choose another --port, or --port 0")
    with listener, contextlib.suppress(KeyboardInterrupt):  # the way in which it is meant to end
        asyncio.run(serve(config, listener, ready=lambda: _greet(address_of(listener), config)))


def _greet(url: str, config: SandboxConfig) -> None:
    if config.host not in LOOPBACK:
        typer.echo("Not on loopback: whoever reaches this address can read the bill and set faults.", err=True)
    typer.echo(f"The sandbox listens on {url} and ends with Ctrl-C. Its bill: {url}/_sandbox/bill")
    typer.echo("To use it, in another terminal:")
    for name, value in sandbox_settings(url, config).items():
        typer.echo(f"  export {name}='{value}'")


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(USAGE)
