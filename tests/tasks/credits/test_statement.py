"""The books as people and dashboards read them."""

from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa

from tasks.credits import AccountTerms, Ledger, ManualClock
from tasks.credits.export import STATEMENT_SCHEMA, statement_table
from tests.tasks.credits.factories import PRICE, RUN, crash, on_ledger, pay, spend

CENTS = Decimal("0.0035")


def test_a_line_for_each_day_run_and_provider(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await ledger.open_account("runflow", AccountTerms())
        await ledger.open_run("run-2", None)
        await pay(ledger, spend("a", "b", credits=Decimal(3)))
        await pay(ledger, spend("c", provider="runflow", usd=CENTS))
        await crash(ledger, spend("d"), sent=True)
        await crash(ledger, spend("e"), sent=False)
        clock.advance(timedelta(days=1).total_seconds())
        await pay(ledger, spend("f", run="run-2"))
        lines = await ledger.statement()
        of_run = await ledger.statement(run_id=RUN)
        of_provider = await ledger.statement(provider="runflow")
        of_day = await ledger.statement(day=date(2026, 1, 2))

        assert [(line.day.day, line.run_id, line.provider, line.settled, line.usd) for line in lines] == [
            (1, RUN, "maskr", 2, 2 * PRICE),
            (1, RUN, "runflow", 1, CENTS),
            (2, "run-2", "maskr", 1, PRICE),
        ]
        first = lines[0]
        assert (first.credits, first.released, first.in_doubt, first.usd_held) == (6, 1, 1, PRICE)
        assert (of_run, of_provider, of_day) == (lines[:2], lines[1:2], lines[2:])

    on_ledger(ledger_url, story, clock=clock)


def test_the_table_for_parquet_keeps_money_exact(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a", usd=CENTS))
        table = statement_table(await ledger.statement())

        assert table.schema == STATEMENT_SCHEMA
        assert table.column("usd").to_pylist() == [CENTS]
        assert pa.types.is_decimal(table.schema.field("usd").type)

    on_ledger(ledger_url, story)


def test_balances_show_what_is_left_held_and_spent(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a", credits=Decimal(3)))
        await crash(ledger, spend("b", credits=Decimal(3)), sent=True)
        async with ledger.reserve(spend("c", credits=Decimal(3))):
            [line] = await ledger.balances()

        assert (line.credits, line.credits_held, line.credits_spent) == (7, 6, 3)
        assert (line.usd, line.usd_held, line.usd_spent) == (None, 2 * PRICE, PRICE)
        assert line.in_flight == 1

    on_ledger(ledger_url, story, account=AccountTerms(credits=Decimal(10)))
