"""`cleanplate dashboard` and `cleanplate report` as a user starts them, and the real ledger's facts on the pages."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from unittest import mock

import httpx
import pytest
import typer
from typer.testing import CliRunner

from flows.commands.dashboard import dashboard
from flows.commands.ledger_facts import LedgerBook
from flows.commands.report import report
from tasks.credits import AccountTerms, AttemptIntent, Ledger, Spend
from tests.factories.run_folders import Picture, make_run, pictures
from tests.services import clean_environment, command, end

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested
app = typer.Typer()
app.command()(dashboard)
app.command()(report)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    made: Sequence[Picture] = pictures(root / "catalog", count=4, side=64)
    return make_run(root / "out", made, rows=14)


@contextmanager
def started(run_folder: Path, home: Path, *options: str) -> Iterator[str]:
    process = subprocess.Popen(
        [command("cleanplate"), "dashboard", str(run_folder), "--port", "0", *options],
        env=clean_environment(home, PYTHONUNBUFFERED="1", XDG_DATA_HOME=str(home)),
        cwd=home,
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2]
    finally:
        end(process)  # type: ignore[arg-type]


def test_away_from_loopback_the_printed_address_is_the_only_way_in(run_folder: Path, tmp_path: Path) -> None:
    with (
        started(run_folder, tmp_path, "--host", EVERYWHERE) as address,
        httpx.Client(follow_redirects=True) as colleague,
    ):
        assert "?token=" in address
        assert httpx.get(address.split("?")[0]).status_code == 401
        assert colleague.get(address).status_code == 200
        assert "token" not in str(colleague.get(address.split("?")[0] + "rows").url)
    assert list(tmp_path.glob("**/*.sqlite3")) == [], "looking makes no ledger"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["dashboard", "{empty}"], "holds no run"),
        (["dashboard", "{empty}/nowhere"], "is no folder"),
        (["dashboard", "{run}", "--token", "short"], "at least 16 characters"),
        (["report", "{empty}"], "holds no run"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_end_with_2(
    run_folder: Path, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    filled = [text.format(empty=tmp_path, run=run_folder) for text in arguments]

    with mock.patch.dict(os.environ, {"XDG_DATA_HOME": str(tmp_path)}):
        result = CliRunner().invoke(app, filled)

    assert result.exit_code == 2
    assert expected in result.output
    assert "Traceback" not in result.output


def test_a_taken_port_is_told_with_the_way_out(run_folder: Path, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        mock.patch.dict(os.environ, {"XDG_DATA_HOME": str(tmp_path)}),
    ):
        result = CliRunner().invoke(app, ["dashboard", str(run_folder), "--port", str(taken.getsockname()[1])])

    assert result.exit_code == 2
    assert "choose another with --port" in result.output


def test_a_damaged_results_file_is_named(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run_id=torn").mkdir()
    (tmp_path / "run_id=torn" / "results.parquet").write_bytes((run_folder / "results.parquet").read_bytes()[:400])

    result = CliRunner().invoke(app, ["report", str(tmp_path)])

    assert result.exit_code == 2
    assert "run_id=torn/results.parquet" in result.output


def test_report_writes_the_page_again_and_says_where(run_folder: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(run_folder)])

    assert result.exit_code == 0
    assert result.output.strip() == str(run_folder / "report.html")
    assert (run_folder / "report.html").stat().st_size > 10_000


@pytest.fixture
def books(tmp_path: Path) -> Iterator[LedgerBook]:
    """A real ledger in which one item was tried twice at one provider."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite3"
    asyncio.run(spend_a_little(url))
    book = LedgerBook.open(url)
    yield book
    book.close()


async def spend_a_little(url: str) -> None:
    async with await Ledger.open(url) as ledger:
        await ledger.open_account("maskr", AccountTerms(credits=Decimal(100)))
        await ledger.open_run("nightly", None)
        for number, charged in enumerate((False, True)):
            intent = AttemptIntent(
                attempt_key=f"a1-{number}", item_id="mug", content_key="c1-mug", credits=Decimal(3), usd=Decimal("0.03")
            )
            async with ledger.reserve(Spend(run_id="nightly", provider="maskr", attempts=[intent])) as reservation:
                await reservation.sent()
                if charged:
                    await reservation.settle(intent.attempt_key, Decimal(3), Decimal("0.03"))
                else:
                    await reservation.release(intent.attempt_key, "503 busy")


def test_the_ledgers_balance_spending_and_requests_reach_the_pages(books: LedgerBook) -> None:
    (balance,) = books.balances()
    (line,) = books.spend()
    first, second = books.attempts("nightly", "mug", "c1-mug")

    assert (balance.provider, balance.credits) == ("maskr", Decimal(97))
    assert (line.day, line.run_id, line.credits, line.usd) == (datetime.now(UTC).date(), "nightly", 3, Decimal("0.03"))
    assert (first.state, second.state) == ("released", "settled")
    assert (second.credits, second.cost_usd) == (3, Decimal("0.03"))
    assert "503" in (first.message or "")


def test_a_row_without_identity_or_of_another_run_has_no_requests(books: LedgerBook) -> None:
    assert books.attempts("nightly", "mug", None) == []
    assert books.attempts("another", "mug", "c1-mug") == []
