"""A dashboard in this process, asked over HTTP as a browser would."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tasks.report.dashboard.app import create_app
from tasks.report.dashboard.ledger_facts import LedgerFacts
from tasks.report.dashboard.serving import DashboardOptions, open_site

ORIGIN = "http://127.0.0.1:8050"
OpenDashboard = Callable[..., TestClient]


@pytest.fixture
def open_dashboard() -> Iterator[OpenDashboard]:
    """Opens dashboards on loopback; closes them after the test."""
    opened: list[TestClient] = []

    def open_one(
        results: Path, *, ledger: LedgerFacts | None = None, origin: str = ORIGIN, **options: object
    ) -> TestClient:
        site = open_site(DashboardOptions(results=str(results), **options), ledger)  # type: ignore[arg-type]
        client = TestClient(create_app(site), base_url=origin, follow_redirects=False)
        client.__enter__()
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        client.__exit__(None, None, None)
