"""Running out of credits is a state: parked, probed, topped up, read anew."""

import asyncio
from datetime import timedelta
from decimal import Decimal

from tasks.credits import AccountTerms, Ledger, ManualClock, Reason, Refusal
from tasks.credits.clock import moment
from tests.tasks.credits.factories import PROVIDER, RUN, crash, on_ledger, pay, refusal, spend, terms

THREE = Decimal(3)


def test_the_last_credits_are_spent_and_not_one_more(ledger_url: str) -> None:
    """300 rows, 20 in flight, credits for 100."""

    async def story(ledger: Ledger) -> None:
        slots = asyncio.Semaphore(20)

        async def one(number: int) -> None:
            async with slots:
                await pay(ledger, spend(f"a{number}", credits=THREE))

        answers = await asyncio.gather(*(one(number) for number in range(300)), return_exceptions=True)

        assert answers.count(None) == 100
        assert sum(isinstance(a, Refusal) and a.reason is Reason.OUT_OF_CREDITS for a in answers) == 200
        assert (await ledger.outlook(PROVIDER)).credits_available == 0

    on_ledger(ledger_url, story, account=terms(credits=Decimal(300)))


def test_opening_credits_count_once(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a", credits=THREE))
        await ledger.open_account(PROVIDER, terms(credits=Decimal(10)))

        assert (await ledger.outlook(PROVIDER)).credits_available == 7

    on_ledger(ledger_url, story, account=terms(credits=Decimal(10)))


def test_an_unknown_balance_is_no_limit(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a", credits=Decimal(1_000_000)))

        assert (await ledger.outlook(PROVIDER)).credits_available is None

    on_ledger(ledger_url, story)


def test_a_402_parks_the_account_for_every_process(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        async with await Ledger.open(ledger_url, clock=clock) as other:
            await ledger.park(PROVIDER, "Insufficient credits")
            refused = await refusal(other, spend("a"))

        assert (refused.reason, refused.detail) == (Reason.PARKED, "Insufficient credits")
        assert refused.retry_at == moment(clock.time()) + timedelta(seconds=900)

    on_ledger(ledger_url, story, clock=clock)


def test_a_parked_account_is_tried_by_one_request_after_a_while(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await ledger.park(PROVIDER, "Insufficient credits")
        clock.advance(900)
        answers = await asyncio.gather(
            *(crash(ledger, spend(f"a{n}"), sent=False) for n in range(10)), return_exceptions=True
        )
        too_early = await refusal(ledger, spend("b"))
        clock.advance(900)
        await pay(ledger, spend("b"))
        await pay(ledger, spend("c"))

        assert answers.count(None) == 1
        assert too_early.reason is Reason.PARKED

    on_ledger(ledger_url, story, clock=clock)


def test_a_new_run_may_try_once(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.park(PROVIDER, "Insufficient credits")
        await ledger.open_run(RUN, None)
        before = await refusal(ledger, spend("a"))
        await ledger.open_run(RUN, None, probe_parked=True)
        async with ledger.reserve(spend("b")) as probe:
            during = await refusal(ledger, spend("c"))
            await probe.sent()
            await probe.accepted("b", "remote-1")
            await pay(ledger, spend("c"))  # it was accepted: the account works again

        assert before.reason is during.reason is Reason.PARKED

    on_ledger(ledger_url, story, account=terms(credits=Decimal(0)))


def test_a_date_in_the_future_parks_until_then(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        until = moment(clock.time()) + timedelta(hours=1)
        await ledger.park(PROVIDER, "maintenance", until)
        refused = await refusal(ledger, spend("a"))
        clock.advance(3600)
        await pay(ledger, spend("a"))

        assert refused.retry_at == until

    on_ledger(ledger_url, story, clock=clock)


def test_a_top_up_ends_the_parking_of_an_empty_account_only(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.park(PROVIDER, "authentication", empty=False)
        await ledger.top_up(PROVIDER, Decimal(6))
        still = await refusal(ledger, spend("a"))
        await ledger.park(PROVIDER, "Insufficient credits")
        await ledger.top_up(PROVIDER, Decimal(6))
        await pay(ledger, spend("a", credits=THREE))

        assert still.detail == "authentication"
        assert (await ledger.outlook(PROVIDER)).credits_available == 3

    on_ledger(ledger_url, story, account=terms(credits=Decimal(100)))


def test_the_providers_own_word_replaces_what_was_counted(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a", credits=THREE))
        await ledger.balance_reading(PROVIDER, credits=Decimal(90), source="GET /account")
        [line] = await ledger.balances()

        assert (line.credits, line.credits_drift, line.credits_spent) == (90, -7, 3)

    on_ledger(ledger_url, story, account=terms(credits=Decimal(100)))


def test_a_request_that_left_before_the_reading_is_not_counted_twice(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(spend("a", credits=THREE)) as reservation:
            await reservation.sent()
            clock.advance(1)
            await ledger.balance_reading(PROVIDER, credits=Decimal(97), source="its answer")
            await reservation.settle("a", THREE)

        assert (await ledger.outlook(PROVIDER)).credits_available == 97

    on_ledger(ledger_url, story, account=terms(credits=Decimal(100)), clock=clock)


def test_a_balance_in_dollars_is_a_limit_too(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a"))
        refused = await refusal(ledger, spend("b", "c"))

        assert (refused.reason, refused.affordable) == (Reason.OUT_OF_CREDITS, 1)

    on_ledger(ledger_url, story, account=AccountTerms(usd=Decimal(1)))


def test_the_ceiling_holds_over_the_life_of_the_run_id_and_may_be_raised(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a", "b"))
        await ledger.open_run(RUN, Decimal("0.96"))
        refused = await refusal(ledger, spend("c"))
        await ledger.open_run(RUN, Decimal("1.44"))
        await pay(ledger, spend("c"))

        assert refused.reason is Reason.BUDGET_REACHED

    on_ledger(ledger_url, story, budget=Decimal("0.96"))


def test_what_costs_nothing_passes_an_empty_account_and_a_spent_budget(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a", usd=Decimal(0)))

    on_ledger(ledger_url, story, account=terms(credits=Decimal(0)), budget=Decimal(0))
