"""The `cleanplate` command: one sub-command a file under `flows/commands/`, loaded only when it is called."""

import atexit
import contextlib
import os
import sys
from importlib import import_module
from typing import Final, NamedTuple

import typer

PREFECT_DEFAULTS: Final = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a busy machine migrates its database slowly
    "PREFECT_LOGGING_LEVEL": "WARNING",  # `--verbose` shows the flow's own
}
"""Read by Prefect when it is imported; the user's own environment wins."""


class Place(NamedTuple):
    """Where a sub-command is: a function, or a Typer application with commands of its own."""

    module: str
    name: str
    summary: str  # shown by `cleanplate --help`, which loads none of them


COMMANDS: Final = {
    "demo": Place("demo", "demo", "Real photographs, the local engine, a report at the end; no key, no server."),
    "manifest": Place(
        "manifest", "app", "Build a manifest from folders, buckets or a table; check one without spending."
    ),
    "plan": Place(
        "plan", "plan", "Who would do what, what it would cost and when it would end, before anything is spent."
    ),
    "run": Place("run", "run", "Clean the pictures of a manifest and write the results manifest."),
    "retry": Place("run", "retry", "Take up again only what has not succeeded."),
    "report": Place("report", "report", "Write a run's report page again."),
    "ledger": Place("ledger", "app", "What was spent, what is left, what is in doubt."),
    "sandbox": Place("sandbox", "sandbox", "Stand-ins for every vendor on this machine, to rehearse against."),
    "callbacks": Place("callbacks", "callbacks", "Receive providers' callbacks for the runs on this ledger."),
    "dashboard": Place(
        "dashboard", "dashboard", "See any number of runs in the browser; judge pictures with --review."
    ),
    "doctor": Place("doctor", "doctor", "Check configuration, keys, ledger, stores and servers, and say what to do."),
    "serve": Place("serve", "serve", "Clean a catalog by schedule, on this machine alone, until Ctrl-C."),
    "automations": Place("automations", "app", "Alerts and self-repair in Prefect."),
}


ABOUT: Final = (
    "Clean product catalogs with image-editing providers: within their limits, within your budget, one outcome a row."
)


def _quieten() -> None:
    """Registered first, so it runs last: DuckDB's binding complains, as the interpreter ends, of what Prefect's threads still hold."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def application(called: str | None) -> typer.Typer:
    """The command with `called` loaded; the others are known by name and summary alone, for each takes seconds to load."""
    app = typer.Typer(
        name="cleanplate",
        help=ABOUT,
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,  # locals may hold keys
    )
    for name, place in COMMANDS.items():
        if name != called:
            app.command(name, help=place.summary)(lambda: None)
            continue
        target = getattr(import_module(f"flows.commands.{place.module}"), place.name)
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name)
        else:
            app.command(name)(target)
    return app


def main() -> None:
    """Entry point of the console script."""
    atexit.register(_quieten)
    os.environ.update({name: value for name, value in PREFECT_DEFAULTS.items() if name not in os.environ})
    called = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    application(called)()
