"""Opening the dashboard and keeping it open."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from tasks.config.providers import ProvidersSettings
from tasks.report.dashboard.access import Door
from tasks.report.dashboard.app import create_app
from tasks.report.dashboard.decisions import DecisionStore
from tasks.report.dashboard.ledger_facts import LedgerFacts, NoLedger
from tasks.report.dashboard.library import Library
from tasks.report.dashboard.media import Media
from tasks.report.dashboard.site import Site
from tasks.report.pictures import PictureLimits


@dataclass(frozen=True, kw_only=True, slots=True)
class DashboardOptions:
    """How a dashboard is opened."""

    results: str  # a run folder or any folder above: local, s3:// or any fsspec URL
    host: str = "127.0.0.1"
    port: int = 8050  # 0: any free one
    review: bool = False
    reviewer: str = ""  # written into decisions
    token: str | None = None  # None: none on loopback, a drawn one elsewhere
    web_pictures: bool = False  # also fetch pictures that rows name by http(s)


def open_site(options: DashboardOptions, ledger: LedgerFacts | None = None) -> Site:
    """Everything behind the pages.

    Raises:
        ResultsNotFoundError: there is no run at `results`.
        ValueError: the token is too short.
    """
    door = Door.on(options.host, token=options.token, review=options.review)
    return Site(
        library=Library(options.results),
        media=Media(PictureLimits(web=options.web_pictures)),
        store=DecisionStore(reviewer=options.reviewer),
        door=door,
        ledger=ledger or NoLedger(),
        redo_providers=tuple(ProvidersSettings.model_fields),
    )


def serve(options: DashboardOptions, *, ledger: LedgerFacts | None = None, opened: Callable[[str], None]) -> None:
    """Serve until interrupted; `opened` is given the address to visit, once it can be.

    Raises:
        ResultsNotFoundError, ValueError: as `open_site`.
        OSError: the port is taken, or the address is not of this machine.
    """
    site = open_site(options, ledger)
    with _listening(options) as listening:
        opened(_address(options.host, listening.getsockname()[1], site.door.token))
        # No access log: addresses may hold the token.
        config = uvicorn.Config(create_app(site), log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])


def _listening(options: DashboardOptions) -> socket.socket:
    try:
        return socket.create_server((options.host, options.port), family=_family(options.host), backlog=128)
    except OSError as error:
        reason = f"cannot listen on {options.host}:{options.port}: {error.strerror}; choose another with --port"
        raise OSError(error.errno, reason) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _address(host: str, port: int, token: str | None) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"http://{reachable}:{port}/" + (f"?token={token}" if token else "")
