"""`cleanplate ledger …`, as people type it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows.commands.ledger import app
from tasks.credits import Ledger
from tasks.credits.export import STATEMENT_SCHEMA
from tests.tasks.credits.factories import PROVIDER, RUN, crash, pay, spend, terms

THREE = Decimal(3)
Typed = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)  # away from any cleanplate.toml
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.sqlite3")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, words)

    return run


@pytest.fixture
def used(tmp_path: Path, typed: Typed) -> Typed:
    """A ledger with four paid attempts, one in doubt, and an account that ran out."""

    async def use() -> None:
        async with await Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite3") as ledger:
            await ledger.open_account(PROVIDER, terms(credits=Decimal(20)))
            await ledger.open_run(RUN, None)
            await pay(ledger, spend("a", "b", "c", "d", credits=THREE))
            await crash(ledger, spend("e", credits=THREE), sent=True)
            await ledger.park(PROVIDER, "Insufficient credits")

    asyncio.run(use())
    return typed


def rows(result: Result) -> Sequence[dict[str, object]]:
    assert result.exit_code == 0, result.output
    found: Sequence[dict[str, object]] = json.loads(result.stdout)
    return found


def test_an_unused_ledger_says_so(typed: Typed) -> None:
    answers = [typed(command).stdout for command in ("balance", "statement", "in-doubt")]

    assert answers == ["No account yet: the first run opens them.\n", "Nothing was spent.\n", "Nothing is in doubt.\n"]


def test_balance_shows_what_is_left_and_why_it_is_parked(used: Typed) -> None:
    shown = used("balance").stdout
    [line] = rows(used("balance", "--json"))

    assert PROVIDER in shown
    assert "parked: Insufficient credits, next try 20" in shown
    assert (line["credits"], line["credits_spent"], line["usd_held"]) == ("0", "12", "0.48")


def test_statement_sums_up(used: Typed) -> None:
    shown = used("statement").stdout
    [line] = rows(used("statement", "--run", RUN, "--provider", PROVIDER, "--json"))

    assert "1.92" in shown
    assert (line["settled"], line["usd"], line["in_doubt"]) == (4, "1.92", 1)
    assert rows(used("statement", "--run", "another", "--json")) == []
    assert rows(used("statement", "--day", "2001-01-01", "--json")) == []


def test_statement_becomes_parquet(used: Typed, tmp_path: Path) -> None:
    result = used("statement", "--parquet", str(tmp_path / "statement.parquet"))
    table = pq.read_table(tmp_path / "statement.parquet")

    assert result.exit_code == 0
    assert table.schema == STATEMENT_SCHEMA
    assert table.column("usd").to_pylist() == [Decimal("1.92")]


def test_what_is_in_doubt_is_listed_until_it_is_resolved(used: Typed) -> None:
    shown = used("in-doubt").stdout
    [attempt] = rows(used("in-doubt", "--json"))
    resolved = used("resolve", "e", "--charged")

    assert "CrashError" in shown
    assert attempt["attempt_key"] == "e"
    assert resolved.stdout == "e: charged\n"
    assert rows(used("in-doubt", "--json")) == []
    assert rows(used("statement", "--json"))[0]["settled"] == 5


def test_resolve_wants_exactly_one_word(used: Typed) -> None:
    for words in ((), ("--charged", "--send-again")):
        result = used("resolve", "e", *words)

        assert result.exit_code == 2
        assert "exactly one" in result.stderr


def test_resolving_what_is_not_there_is_a_users_mistake(used: Typed) -> None:
    result = used("resolve", "zz", "--charged")

    assert result.exit_code == 2
    assert "no attempt zz" in result.stderr


def test_a_top_up_ends_the_parking(used: Typed) -> None:
    result = used("top-up", PROVIDER, "50")
    [line] = rows(used("balance", "--json"))

    assert "50 credits added; the balance is 50 credits" in result.stdout
    assert (line["credits"], line["parked_reason"]) == ("50", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("top-up", "nobody", "5"), "known are runflow, maskr"),
        (("top-up", PROVIDER, "five"), "a number above 0"),
        (("top-up", PROVIDER, "0"), "a number above 0"),
        (("statement", "--day", "yesterday"), "2026-11-20"),
        (("statement", "--parquet", "nonsense://x"), "cannot be written"),
    ],
)
def test_mistakes_are_told_in_a_sentence(used: Typed, words: tuple[str, ...], message: str) -> None:
    result = used(*words)

    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_ledger_that_cannot_be_opened_is_named(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", "mysql://localhost/ledger")
    result = typed("balance")

    assert result.exit_code == 1
    assert "postgresql://" in result.stderr
