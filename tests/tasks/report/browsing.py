"""A real browser for tests: Debian's Chromium, headless, offline but for this machine."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.services import clean_environment, command, end

CHROMIUM = Path("/usr/bin/chromium")
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}: apt-get install chromium to run the browser tests"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and everything about it that should not happen."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))

    def hacked(self) -> bool:
        """Whether a hostile name got its script to run."""
        return bool(self.page.evaluate("'hacked' in window"))


@contextmanager
def served(results: Path, home: Path, *options: str) -> Iterator[str]:
    """`cleanplate dashboard` as a user starts it; yields its address."""
    process = subprocess.Popen(
        [command("cleanplate"), "dashboard", str(results), "--port", "0", *options],
        env=clean_environment(home, PYTHONUNBUFFERED="1"),
        cwd=home,
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, f"the dashboard said {line!r}"
        yield line.split()[2]
    finally:
        end(process)  # type: ignore[arg-type]
