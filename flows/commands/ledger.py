"""`cleanplate ledger …`: what was spent, what is left, and the user's word on what cannot be known."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NoReturn, TypeVar

import fsspec
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from tasks.config import ConfigurationError, ProvidersSettings, Settings, load_settings
from tasks.credits import (
    AccountTerms,
    BalanceLine,
    Ledger,
    LedgerError,
    LedgerMisuse,
    Resolution,
    StatementLine,
)
from tasks.credits.export import statement_table

T = TypeVar("T")
app = typer.Typer(help="What was spent, what is left, and what is in doubt.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_NUMBERS = {"paid", "credits", "USD", "not charged", "in doubt", "in flight", "left", "held", "spent", "may cost"}
RunOption = Annotated[str | None, typer.Option("--run", help="Only this run id.")]


@app.command()
def balance(as_json: AsJson = False) -> None:
    """Every provider's account: what is left, what is held, what was spent, and whether it is parked."""
    lines = _with_ledger(lambda ledger, _: ledger.balances())
    if as_json:
        _print_json(lines)
        return
    if not lines:
        _say("No account yet: the first run opens them.")
        return
    table = _table("provider", "left", "held", "spent", "in flight", "state", "provider's word")
    for line in lines:
        table.add_row(
            line.provider,
            _amount(line.credits, line.usd),
            _amount(line.credits_held or None, line.usd_held or None),
            _amount(line.credits_spent or None, line.usd_spent or None),
            str(line.in_flight),
            _state(line),
            _reading(line),
        )
    Console().print(table)


@app.command()
def statement(
    run: RunOption = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    day: Annotated[str | None, typer.Option(help="Only this day (UTC), as 2026-11-20.")] = None,
    parquet: Annotated[str | None, typer.Option(help="Write a Parquet file here (a path or any fsspec URL).")] = None,
    as_json: AsJson = False,
) -> None:
    """What was charged: a line for each day, run and provider, to be laid beside the provider's bill."""
    wanted = _day(day)
    lines = _with_ledger(lambda ledger, _: ledger.statement(run_id=run, provider=provider, day=wanted))
    if parquet is not None:
        _write_parquet(lines, parquet)
    if as_json:
        _print_json(lines)
    elif parquet is None:
        _print_statement(lines)


@app.command("in-doubt")
def in_doubt(run: RunOption = None, as_json: AsJson = False) -> None:
    """Attempts that may have been charged: sent, and then cut off. They are sent again only by your word."""
    attempts = _with_ledger(lambda ledger, _: ledger.in_doubt(run))
    if as_json:
        _print_json(attempts)
        return
    if not attempts:
        _say("Nothing is in doubt.")
        return
    table = _table("attempt", "provider", "run", "item", "may cost", "sent (UTC)", "what is known")
    for one in attempts:
        known = "; ".join(filter(None, (one.note or str(one.state), one.remote_id and f"remote id {one.remote_id}")))
        known += "; may be sent again" if one.send_again else ""
        price = _amount(one.credits or None, one.usd or None)
        table.add_row(one.attempt_key, one.provider, one.run_id, one.item_id, price, _time(one.sent_at), known)
    Console().print(table)
    _say("Look at the provider's own records, then: cleanplate ledger resolve ATTEMPT --charged | --not-charged")


@app.command()
def resolve(
    attempts: Annotated[list[str], typer.Argument(metavar="ATTEMPT...", help="As `ledger in-doubt` lists them.")],
    charged: Annotated[bool, typer.Option("--charged", help="It was charged: book it. Not sent again.")] = False,
    not_charged: Annotated[
        bool, typer.Option("--not-charged", help="It was not: give the money back. May be sent.")
    ] = False,
    send_again: Annotated[
        bool, typer.Option("--send-again", help="Allow another paid request, whatever became of this one.")
    ] = False,
) -> None:
    """Say what became of attempts in doubt."""
    words = {Resolution.CHARGED: charged, Resolution.NOT_CHARGED: not_charged, Resolution.SEND_AGAIN: send_again}
    said = [resolution for resolution, given in words.items() if given]
    if len(said) != 1:
        _stop("say exactly one of --charged, --not-charged and --send-again")

    async def resolve_all(ledger: Ledger, _: Settings) -> None:
        for attempt_key in attempts:
            await ledger.resolve(attempt_key, said[0])
            _say(f"{attempt_key}: {said[0].replace('_', ' ')}")

    _with_ledger(resolve_all)


@app.command("top-up")
def top_up(
    provider: Annotated[str, typer.Argument(help="The provider's key, such as maskr.")],
    credits: Annotated[str, typer.Argument(help="How many credits came, such as 500.")],
) -> None:
    """Credits came: add them to the balance, and take a provider that had run out back into use."""
    amount = _credits(credits)
    if provider not in ProvidersSettings.model_fields:
        _stop(f"unknown provider '{provider}': known are {', '.join(ProvidersSettings.model_fields)}")

    async def add(ledger: Ledger, settings: Settings) -> list[BalanceLine]:
        await ledger.open_account(provider, AccountTerms.of(settings.providers.of(provider)))
        await ledger.top_up(provider, amount, source="cleanplate ledger top-up")
        return await ledger.balances()

    [line] = [line for line in _with_ledger(add) if line.provider == provider]
    left = "unknown, and so no limit" if line.credits is None else f"{line.credits:f} credits"
    _say(f"{provider}: {amount:f} credits added; the balance is {left}. `cleanplate retry` goes on.")


def _with_ledger(work: Callable[[Ledger, Settings], Awaitable[T]]) -> T:
    """Open the ledger of the configuration, do the work, and say what is wrong in a sentence."""

    async def run() -> T:
        settings = load_settings()
        url = settings.ledger_url.get_secret_value()
        async with await Ledger.open(url, durable=settings.ledger_durable, patience_s=10) as ledger:
            return await work(ledger, settings)

    try:
        return asyncio.run(run())
    except (ConfigurationError, LedgerMisuse) as error:
        _stop(str(error))
    except LedgerError as error:
        _stop(str(error), code=1)


def _print_statement(lines: Sequence[StatementLine]) -> None:
    if not lines:
        _say("Nothing was spent.")
        return
    table = _table("day (UTC)", "run", "provider", "paid", "credits", "USD", "not charged", "in doubt", "held")
    table.show_footer = True
    for line in lines:
        table.add_row(
            line.day.isoformat(),
            line.run_id,
            line.provider,
            str(line.settled),
            f"{line.credits:f}",
            _dollars(line.usd),
            str(line.released),
            str(line.in_doubt),
            _amount(line.credits_held or None, line.usd_held or None),
        )
    totals = {
        "paid": sum(line.settled for line in lines),
        "USD": _dollars(sum((line.usd for line in lines), Decimal(0))),
        "not charged": sum(line.released for line in lines),
        "in doubt": sum(line.in_doubt for line in lines),
    }
    for column in table.columns:
        column.footer = str(totals.get(str(column.header), ""))
    Console().print(table)


def _write_parquet(lines: Sequence[StatementLine], uri: str) -> None:
    try:
        with fsspec.open(uri, "wb") as file:
            pq.write_table(statement_table(lines), file)
    except (OSError, ValueError, ImportError) as error:
        _stop(f"{uri} cannot be written: {error}", code=1)
    sys.stderr.write(f"{len(lines)} lines written to {uri}\n")


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    return table


def _amount(credits: Decimal | None, usd: Decimal | None) -> str:
    """What there is of the two units: 3 cr, $0.48, or both; – when there is nothing."""
    parts = [f"{credits:f} cr" if credits is not None else "", f"${_dollars(usd)}" if usd is not None else ""]
    return "\n".join(filter(None, parts)) or "–"


def _dollars(usd: Decimal) -> str:
    """At least cents: 2.4 → 2.40; 0.0035 stays."""
    exponent = usd.as_tuple().exponent
    return f"{usd:f}" if isinstance(exponent, int) and exponent < -2 else f"{usd:.2f}"


def _state(line: BalanceLine) -> str:
    if line.parked_reason is None:
        return "open"
    again = "" if line.next_try_at is None else f", next try {_time(line.next_try_at)}"
    return f"parked: {line.parked_reason}{again}"


def _reading(line: BalanceLine) -> str:
    if line.read_at is None:
        return "never read"
    drifts = [(line.credits_drift, "cr"), (line.usd_drift, "USD")]
    said = ", ".join(f"{drift:+f} {unit} against the books" for drift, unit in drifts if drift)
    return f"{_time(line.read_at)}: {said or 'as in the books'}"


def _time(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        _stop(f"'{text}' is no day: write it as 2026-11-20")


def _credits(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        _stop(f"'{text}' is no number of credits: a number above 0 is expected, such as 500")
    return amount


def _print_json(rows: Sequence[Any]) -> None:
    """Money as strings, so that no reader rounds it."""
    sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2, default=_plain) + "\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _stop(message: str, *, code: int = 2) -> NoReturn:
    sys.stderr.write(f"cleanplate: {message}\n")
    raise typer.Exit(code)
