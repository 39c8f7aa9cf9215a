"""The one door: what is taken, what is given back, and what is refused."""

import asyncio
from decimal import Decimal

import pytest

from tasks.credits import AttemptState, Charge, Ledger, LedgerMisuse, Reason, Refusal, StatementLine
from tests.tasks.credits.factories import PRICE, PROVIDER, crash, intent, on_ledger, pay, refusal, spend, terms


def test_settled_attempts_leave_the_balance_and_the_budget_for_good(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(spend("a", credits=Decimal(3))) as reservation:
            held = await ledger.outlook(PROVIDER)
            await reservation.sent()
            await reservation.settle("a", Decimal(2), Decimal("0.40"))
        after = await ledger.outlook(PROVIDER)

        assert (held.credits_available, held.in_flight) == (7, 1)
        assert (after.credits_available, after.in_flight) == (8, 0)

    on_ledger(ledger_url, story, account=terms(credits=Decimal(10)))


def test_leaving_unsent_gives_everything_back(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await crash(ledger, spend("a", credits=Decimal(3)), sent=False)

        assert (await ledger.outlook(PROVIDER)).credits_available == 10
        assert await ledger.in_doubt() == []
        await pay(ledger, spend("a"))  # the key of a released attempt may be used again

    on_ledger(ledger_url, story, account=terms(credits=Decimal(10)), budget=PRICE)


def test_leaving_sent_and_unsettled_is_in_doubt_and_keeps_the_money_held(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await crash(ledger, spend("a", credits=Decimal(3)), sent=True)
        [doubt] = await ledger.in_doubt()

        assert (doubt.attempt_key, doubt.state) == ("a", AttemptState.IN_DOUBT)
        assert "CrashError" in (doubt.note or "")
        assert (await ledger.outlook(PROVIDER)).credits_available == 7
        assert (await refusal(ledger, spend("b"))).reason is Reason.BUDGET_REACHED

    on_ledger(ledger_url, story, account=terms(credits=Decimal(10)), budget=PRICE)


def test_fifty_at_a_time_fit_the_budget_or_none_does(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        keys = [f"a{n}" for n in range(50)]
        refused = await refusal(ledger, spend(*keys))
        await pay(ledger, spend(*keys[:20]))

        assert (refused.reason, refused.affordable) == (Reason.BUDGET_REACHED, 20)

    on_ledger(ledger_url, story, budget=20 * PRICE)


def test_two_hundred_at_once_never_pass_the_budget(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        paid = 0

        async def one(number: int) -> None:
            nonlocal paid
            async with ledger.reserve(spend(f"a{number}")) as reservation:
                await reservation.sent()
                paid += 1
                await reservation.settle(f"a{number}", usd=PRICE)

        answers = await asyncio.gather(*(one(number) for number in range(200)), return_exceptions=True)

        assert paid == 20
        assert sum(isinstance(a, Refusal) and a.reason is Reason.BUDGET_REACHED for a in answers) == 180

    on_ledger(ledger_url, story, budget=20 * PRICE)


def test_an_account_or_run_never_opened_is_a_mistake_of_the_caller(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        for wrong in (spend("a", provider="nobody"), spend("a", run="none")):
            with pytest.raises(LedgerMisuse, match="never opened"):
                await pay(ledger, wrong)

    on_ledger(ledger_url, story)


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity"])
def test_a_price_that_is_none_is_refused_before_it_reaches_the_books(amount: str) -> None:
    with pytest.raises(ValueError, match="usd"):
        intent("a", usd=Decimal(amount))


def test_a_settle_whose_wait_is_cancelled_is_booked_all_the_same(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        async def pay_and_be_cut_off() -> None:
            async with ledger.reserve(spend("a")) as reservation:
                await reservation.sent()
                settling = asyncio.ensure_future(reservation.settle("a", usd=PRICE))
                await asyncio.sleep(0)
                settling.cancel()
                await settling

        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(pay_and_be_cut_off())
        [line] = await statement_after_all(ledger)

        assert (line.settled, line.in_doubt, line.under_way) == (1, 0, 0)

    on_ledger(ledger_url, story)


def test_a_second_cancellation_cannot_come_between_the_booking_of_a_batch(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        entered = asyncio.Event()

        async def work() -> None:
            async with ledger.reserve(spend("accepted", "sent")) as reservation:
                await reservation.sent()
                await reservation.accepted("accepted", "remote-1")
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(work())
        await entered.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [line] = await statement_after_all(ledger)

        assert (line.in_doubt, line.under_way) == (1, 1)
        assert [attempt.attempt_key for attempt in await ledger.recover()] == ["accepted"]

    on_ledger(ledger_url, story)


def test_of_a_booking_that_makes_no_sense_nothing_is_booked(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(spend("a", "b")) as reservation:
            await reservation.sent()
            await reservation.settle("b", usd=PRICE)
            with pytest.raises(LedgerMisuse, match="other amounts"):
                await reservation.settle_all({"a": Charge(usd=PRICE), "b": Charge(usd=2 * PRICE)})
            with pytest.raises(LedgerMisuse, match="not reserved here"):
                await reservation.settle("c")
            await reservation.settle("b", usd=PRICE)  # the same words twice are one
            halfway = await ledger.statement()
            await reservation.release("a", "refused")

        assert (halfway[0].settled, halfway[0].usd, halfway[0].usd_held) == (1, PRICE, PRICE)

    on_ledger(ledger_url, story)


async def statement_after_all(ledger: Ledger) -> list[StatementLine]:
    """Behind everything that was asked for before."""
    await ledger.open_run("another", None)
    return await ledger.statement()
