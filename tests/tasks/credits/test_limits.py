"""The rate limits: kept exactly, used fully, fair, and given back when nobody wants them any more."""

import asyncio
from datetime import timedelta

import pytest

from tasks.config.limits import RateLimit
from tasks.credits import (
    AccountTerms,
    AttemptIntent,
    Endpoint,
    Ledger,
    LedgerUnavailable,
    ManualClock,
    Reason,
    Refusal,
    Spend,
)
from tasks.credits.clock import moment
from tests.tasks.credits.factories import PROVIDER, RUN, Rehearsal, crash, on_ledger, pay, refusal, spend, terms


def test_sixty_a_minute_is_kept_exactly_and_used_fully(ledger_url: str) -> None:
    """180 requests take two minutes, and no window of a minute holds more than sixty."""
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        took_s = await rehearsal.play(*(rehearsal.request(ledger, spend(f"a{n}")) for n in range(180)))

        assert rehearsal.fullest(60) == 60
        assert took_s == pytest.approx(120.2)  # two windows and their guards

    on_ledger(ledger_url, story, account=terms("60/min"), clock=clock)


def test_several_windows_hold_at_once(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        await rehearsal.play(*(rehearsal.request(ledger, spend(f"a{n}")) for n in range(25)))

        assert rehearsal.fullest(1) == 4
        assert rehearsal.fullest(60) == 10

    on_ledger(ledger_url, story, account=terms("10/min", "4/s"), clock=clock)


def test_a_wide_limit_is_kept_exactly_too(ledger_url: str) -> None:
    """Far from it, its starts are only counted; near it, they are looked at one by one."""
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        took_s = await rehearsal.play(*(rehearsal.request(ledger, spend(f"a{n}")) for n in range(1500)))

        assert rehearsal.fullest(60) == 1200
        assert took_s == pytest.approx(60.1)

    on_ledger(ledger_url, story, account=terms("1200/min", "100000/d"), clock=clock)


def test_single_and_batch_requests_have_limits_of_their_own_and_one_together(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)
    account = AccountTerms(
        limits=[RateLimit.parse("6/min")],
        batch_limits=[RateLimit.parse("3/min")],
        account_limits=[RateLimit.parse("7/min")],
    )

    def wanted(number: int) -> Spend:
        intents = (AttemptIntent(attempt_key=f"a{number}", item_id="x"),)
        endpoint = Endpoint.BATCH if number % 2 else Endpoint.SINGLE
        return Spend(run_id=RUN, provider=PROVIDER, endpoint=endpoint, attempts=intents)

    async def story(ledger: Ledger) -> None:
        await rehearsal.play(*(rehearsal.request(ledger, wanted(n)) for n in range(30)))
        by_endpoint = {
            endpoint: [at for at, one in rehearsal.starts if one.endpoint is endpoint] for endpoint in Endpoint
        }

        assert rehearsal.fullest(60) == 7
        for endpoint, most in ((Endpoint.SINGLE, 6), (Endpoint.BATCH, 3)):
            moments = by_endpoint[endpoint]
            assert max(sum(end - 60 < at <= end for at in moments) for end in moments) <= most

    on_ledger(ledger_url, story, account=account, clock=clock)


def test_megapixels_a_minute_are_kept(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    def wanted(number: int) -> Spend:
        intents = (AttemptIntent(attempt_key=f"a{number}", item_id="x", megapixels=2.1),)
        return Spend(run_id=RUN, provider=PROVIDER, attempts=intents)

    async def story(ledger: Ledger) -> None:
        await rehearsal.play(*(rehearsal.request(ledger, wanted(n)) for n in range(25)))

        assert rehearsal.fullest(60) == 9  # 9 × 2.1 MP fit into 20

    on_ledger(ledger_url, story, account=terms("20MP/min"), clock=clock)


def test_at_most_so_many_are_under_way_at_once(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        await rehearsal.play(*(rehearsal.request(ledger, spend(f"a{n}"), takes_s=10) for n in range(12)))

        assert rehearsal.fullest(10) == 5

    on_ledger(ledger_url, story, account=terms(max_in_flight=5), clock=clock)


def test_two_processes_share_the_limit_fairly(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        async with await Ledger.open(ledger_url, clock=clock) as other:
            wanted = [(each, spend(f"{name}{n}")) for n in range(40) for name, each in (("a", ledger), ("b", other))]
            took_s = await rehearsal.play(*(rehearsal.request(each, one) for each, one in wanted))

        assert rehearsal.fullest(20) == 20
        assert took_s == pytest.approx(60.3, abs=0.2)
        second_window = [one.attempts[0].attempt_key[0] for _, one in rehearsal.starts[20:40]]
        assert second_window.count("a") == pytest.approx(10, abs=2)

    on_ledger(ledger_url, story, account=terms("20/20s"), clock=clock)


def test_who_came_first_is_served_first(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        await rehearsal.play(*(rehearsal.request(ledger, spend(f"a{n}")) for n in range(12)))

        assert [one.attempts[0].attempt_key for _, one in rehearsal.starts] == [f"a{n}" for n in range(12)]

    on_ledger(ledger_url, story, account=terms("2/min"), clock=clock)


def test_a_restart_brings_no_new_burst(ledger_url: str) -> None:
    clock = ManualClock()

    async def before(ledger: Ledger) -> None:
        for number in range(3):
            await pay(ledger, spend(f"a{number}"))

    async def after(ledger: Ledger) -> None:
        refused = await refusal(ledger, spend("b"), deadline=moment(clock.time()))

        assert refused.reason is Reason.DEADLINE
        assert refused.retry_at == moment(clock.time() + 60.1)

    on_ledger(ledger_url, before, account=terms("3/min"), clock=clock)
    on_ledger(ledger_url, after, account=terms("3/min"), clock=clock)


def test_a_start_counts_from_when_the_body_left_not_from_its_permit(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(spend("a")) as reservation:
            clock.advance(7)  # a slow upload
            unsent = await refusal(ledger, spend("b"), deadline=moment(clock.time() + 1))
            await reservation.sent()
            await reservation.settle("a")
        sent = await refusal(ledger, spend("b"), deadline=moment(clock.time() + 1))

        assert unsent.reason is sent.reason is Reason.DEADLINE
        assert sent.retry_at == moment(clock.time() + 60.1)

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)


def test_a_start_that_never_left_is_free_again(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await crash(ledger, spend("a"), sent=False)
        await pay(ledger, spend("b"))

        assert (await ledger.outlook(PROVIDER)).next_start_at == moment(clock.time() + 60.1)

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)


def test_a_429_moves_every_start_of_the_account(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        async with await Ledger.open(ledger_url, clock=clock) as other:
            await ledger.rate_limited(PROVIDER, 17)
            seen = await other.outlook(PROVIDER)
            await rehearsal.play(rehearsal.request(other, spend("a")), rehearsal.request(ledger, spend("b")))

        assert seen.next_start_at == moment(clock.time())
        assert [at for at, _ in rehearsal.starts] == [17, 17]

    on_ledger(ledger_url, story, clock=clock)


def test_a_429_although_the_window_was_kept_widens_the_guard(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("a"))
        await ledger.rate_limited(PROVIDER, 0.3)
        wider = await ledger.outlook(PROVIDER)
        for _ in range(10):
            await ledger.rate_limited(PROVIDER, 0.3)
        widest = await ledger.outlook(PROVIDER)

        assert wider.next_start_at == moment(clock.time() + 60.2)
        assert widest.next_start_at == moment(clock.time() + 61)

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)


def test_whoever_waits_when_a_429_comes_waits_on(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("first"))
        waiting = asyncio.ensure_future(rehearsal.request(ledger, spend("a")))
        await clock.next_due_s()
        await ledger.rate_limited(PROVIDER, 300)
        await rehearsal.play(waiting)

        assert rehearsal.starts[0][0] == 300

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)


def test_a_cancelled_waiter_gives_everything_back(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("first"))
        waiters = [asyncio.ensure_future(pay(ledger, spend(f"w{n}"))) for n in range(50)]
        await clock.next_due_s()
        queued = (await ledger.outlook(PROVIDER)).waiting
        for waiter in waiters:
            waiter.cancel()
        answers = await asyncio.gather(*waiters, return_exceptions=True)
        clock.advance(60.1)
        async with await Ledger.open(ledger_url, clock=clock) as other:
            await pay(other, spend("w7"))  # neither its key nor the start is held any more

        assert queued == 50
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)


def test_whoever_cannot_start_before_the_deadline_is_told_at_once(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("first"))
        deadline = moment(clock.time()) + timedelta(seconds=30)
        refused = await refusal(ledger, spend("late"), deadline=deadline)

        assert refused.reason is Reason.DEADLINE
        assert refused.retry_at == moment(clock.time() + 60.1)

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)


def test_parking_refuses_those_who_wait(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("first"))
        waiters = [asyncio.ensure_future(pay(ledger, spend(f"w{n}"))) for n in range(30)]
        await clock.next_due_s()
        await ledger.park(PROVIDER, "Insufficient credits")
        answers = await asyncio.gather(*waiters, return_exceptions=True)

        assert all(isinstance(answer, Refusal) and answer.reason is Reason.PARKED for answer in answers)

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)


def test_a_process_holds_at_most_one_future_start(ledger_url: str) -> None:
    """Fifty waiters in one process leave the next start but one to another process."""
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await pay(ledger, spend("first"))
        clock.advance(10)
        await pay(ledger, spend("second"))
        waiters = [asyncio.ensure_future(pay(ledger, spend(f"w{n}"))) for n in range(50)]
        await clock.next_due_s()
        async with await Ledger.open(ledger_url, clock=clock) as other:
            seen = await other.outlook(PROVIDER)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)

        assert seen.next_start_at == moment(clock.time() + 60.1)

    on_ledger(ledger_url, story, account=terms("2/min"), clock=clock)


def test_slots_are_shared_by_processes_and_freed_by_any(ledger_url: str) -> None:
    clock = ManualClock()
    rehearsal = Rehearsal(clock)

    async def story(ledger: Ledger) -> None:
        async with await Ledger.open(ledger_url, clock=clock) as other:
            wanted = [(each, spend(f"{name}{n}")) for n in range(5) for name, each in (("a", ledger), ("b", other))]
            await rehearsal.play(*(rehearsal.request(each, one, takes_s=4) for each, one in wanted))

        assert rehearsal.fullest(4) == 2

    on_ledger(ledger_url, story, account=terms(max_in_flight=2), clock=clock)


def test_a_batch_of_fifty_takes_one_start_and_one_slot(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(spend(*(f"a{n}" for n in range(50)))) as reservation:
            await reservation.sent()
            seen = await ledger.outlook(PROVIDER)
            await reservation.release_all(reservation.open_keys, "refused")

        assert (seen.in_flight, seen.starts_last_minute) == (1, 1)

    on_ledger(ledger_url, story, account=terms("2/min", max_in_flight=1), clock=clock)


def test_closing_the_ledger_tells_those_who_wait(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        async with await Ledger.open(ledger_url, clock=clock) as closing:
            await pay(closing, spend("first"))
            waiter = asyncio.ensure_future(pay(closing, spend("a")))
            await clock.next_due_s()
        with pytest.raises(LedgerUnavailable, match="closed"):
            await waiter

    on_ledger(ledger_url, story, account=terms("1/min"), clock=clock)
