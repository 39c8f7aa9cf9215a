"""What every page needs: the runs, the pictures, the decisions, the ledger, the rules of the door."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from tasks.report.dashboard.access import Door
from tasks.report.dashboard.decisions import DecisionStore
from tasks.report.dashboard.ledger_facts import LedgerFacts, NoLedger
from tasks.report.dashboard.library import Library
from tasks.report.dashboard.live import LiveRuns
from tasks.report.dashboard.media import Media
from tasks.report.rendering import asset, environment
from tasks.report.wording import place

ASSETS: Final[Mapping[str, str]] = {
    "cleanplate.css": "text/css",
    "dashboard.css": "text/css",
    "compare.js": "text/javascript",
    "dashboard.js": "text/javascript",
    "review.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """One running dashboard."""

    library: Library
    media: Media
    store: DecisionStore
    door: Door
    ledger: LedgerFacts = field(default_factory=NoLedger)
    live: LiveRuns = field(default_factory=LiveRuns)
    redo_providers: tuple[str, ...] = ()  # who may be asked to do it again
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def page(self, template: str, here: str, status: int = 200, **shown: Any) -> HTMLResponse:
        """A rendered page; `here` is the path of the entry in the navigation that it belongs to."""
        entries = (("Overview", "/"), ("Rows", "/rows"), ("Review", "/review"))
        html = (
            environment()
            .get_template(template)
            .render(
                nav=[(name, href, href == here) for name, href in entries],
                place=place(self.library.uri),
                asset_url=asset_url,
                link=link,
                form_secret=self.door.form_secret,
                **({"can_review": self.door.review} | shown),
            )
        )
        return HTMLResponse(html, status_code=status)

    def problem(self, status: int, heading: str, text: str) -> HTMLResponse:
        """A page that says what went wrong and where to go."""
        return self.page("problem.html", "", status, heading=heading, text=text)


def link(path: str, **parameters: object) -> str:
    """A page of ours with its parameters; empty ones are left out."""
    query = urlencode({name: value for name, value in parameters.items() if value not in ("", None)})
    return f"{path}?{query}" if query else path


def asset_url(name: str) -> str:
    """Changes with the content, so that a browser may keep it for good."""
    return f"/static/{hashlib.sha256(asset(name).encode()).hexdigest()[:12]}/{name}"


def picture_urls(key: str, row: Mapping[str, Any], number: int, size: str) -> dict[str, str]:
    """Where a row's own pictures are shown."""
    version = (row["output_sha256"] or "")[:12]
    return {kind: link(f"/picture/{kind}", run=key, n=number, size=size, v=version) for kind in ("before", "after")}
