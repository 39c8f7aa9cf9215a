"""After `kill -9`: nothing is lost, nothing is stolen from the living, and every open attempt finds its end."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tasks.credits import AttemptState, Ledger, LedgerMisuse, LedgerUnavailable, ManualClock, Reason, Resolution
from tasks.credits.owners import LEASE_S, Owner
from tests.tasks.credits.factories import PRICE, PROVIDER, RUN, crash, on_ledger, pay, refusal, spend, terms


@contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.tasks.credits.child", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_open_attempts_of_a_killed_process_are_taken_over_and_ended(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        with child("leave_open", ledger_url, "a", 0) as process:
            assert heard(process) == "ready"
            of_the_living = await ledger.recover(RUN)
            elsewhere = await refusal(ledger, spend("a-sent"))
            process.kill()
            process.wait()
            found = {attempt.attempt_key: attempt for attempt in await ledger.recover(RUN)}

        assert of_the_living == []
        assert elsewhere.reason is Reason.IN_FLIGHT_ELSEWHERE
        assert {key: attempt.state for key, attempt in found.items()} == {
            "a-reserved": AttemptState.RESERVED,
            "a-sent": AttemptState.SENT,
            "a-accepted": AttemptState.ACCEPTED,
        }
        assert (found["a-accepted"].remote_id, found["a-accepted"].request_id) == ("remote-1", "request-1")

        await (await ledger.resume("a-accepted")).settle("a-accepted", usd=PRICE)
        await (await ledger.resume("a-sent")).doubt("a-sent", "no way to ask")
        await (await ledger.resume("a-reserved")).release("a-reserved", "the provider never heard of it")
        [line] = await ledger.statement()

        assert (line.settled, line.released, line.in_doubt, line.under_way) == (2, 1, 1, 0)
        assert (line.usd, line.usd_held) == (2 * PRICE, PRICE)

    on_ledger(ledger_url, story)


def test_what_nobody_answers_for_is_listed_for_the_user_and_can_be_resolved(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        with child("leave_open", ledger_url, "a", 0) as process:
            assert heard(process) == "ready"
            while_alive = await ledger.in_doubt()
            with pytest.raises(LedgerMisuse, match="another process"):
                await ledger.resolve("a-sent", Resolution.CHARGED)
            process.kill()
            process.wait()
        left_behind = [attempt.attempt_key for attempt in await ledger.in_doubt()]
        refused = await refusal(ledger, spend("a-sent"))
        for key in left_behind:
            await ledger.resolve(key, Resolution.CHARGED)
        [line] = await ledger.statement()

        assert while_alive == []
        assert sorted(left_behind) == ["a-accepted", "a-reserved", "a-sent"]
        assert refused.reason is Reason.IN_DOUBT
        assert (line.settled, line.usd, line.usd_held) == (4, 4 * PRICE, 0)

    on_ledger(ledger_url, story)


def test_two_who_recover_at_once_do_not_get_the_same_attempt(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await leave_open(await Ledger.open(ledger_url), "a")
        async with await Ledger.open(ledger_url) as other:
            shares = await asyncio.gather(ledger.recover(RUN), other.recover(RUN))

        assert sorted(len(share) for share in shares) == [0, 1]

    on_ledger(ledger_url, story)


def test_recovering_twice_without_resuming_shows_the_same(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await leave_open(await Ledger.open(ledger_url), "a")
        first, second = await ledger.recover(RUN), await ledger.recover(RUN)
        await ledger.resume("a")

        assert [one.attempt_key for one in first] == [one.attempt_key for one in second] == ["a"]
        assert await ledger.recover(RUN) == []

    on_ledger(ledger_url, story)


def test_an_accepted_attempt_outlives_its_context_and_is_found_again(ledger_url: str) -> None:
    """Cut off while it polls, in the same process: the job goes on at the provider."""

    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(spend("a")) as reservation:
            await reservation.sent()
            await reservation.accepted("a", "remote-1")
        [found] = await ledger.recover(RUN)
        async with await ledger.resume("a") as resumed:
            await resumed.settle("a", usd=PRICE)

        assert (found.state, found.remote_id) == (AttemptState.ACCEPTED, "remote-1")
        assert await ledger.recover(RUN) == []

    on_ledger(ledger_url, story)


def test_attempts_in_doubt_can_be_looked_up_later(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await crash(ledger, spend("a"), sent=True)
        ordinary = await ledger.recover(RUN)
        [found] = await ledger.recover(RUN, doubtful=True)
        await (await ledger.resume("a")).release("a", "the provider never heard of it")
        await pay(ledger, spend("b"))

        assert ordinary == []
        assert found.state is AttemptState.IN_DOUBT

    on_ledger(ledger_url, story, budget=PRICE)


def test_a_replay_takes_a_start_but_no_money(ledger_url: str) -> None:
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        await leave_open(await Ledger.open(ledger_url, clock=clock), "a")
        [found] = await ledger.recover(RUN)
        async with await ledger.resume(found.attempt_key) as resumed:
            waiting = asyncio.ensure_future(resumed.permit())
            due_s = await clock.next_due_s()
            clock.advance(due_s)
            await waiting
            await resumed.sent()
            await resumed.settle("a", usd=PRICE)

        assert due_s == pytest.approx(60.1)
        assert (await ledger.outlook(PROVIDER)).starts_last_minute == 1

    on_ledger(ledger_url, story, account=terms("1/min"), budget=PRICE, clock=clock)


def test_whoever_was_taken_for_dead_goes_on_and_nothing_is_booked_twice(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that slept past its lease wakes: one attempt was taken over and closed; the other is still its own."""

    async def story(ledger: Ledger) -> None:
        await ledger.open_run("run-2", None)
        async with ledger.reserve(spend("a")) as first, ledger.reserve(spend("b", run="run-2")) as second:
            await first.sent()
            await second.sent()
            async with await Ledger.open(ledger_url) as other:
                monkeypatch.setattr("tasks.credits.recovery.is_alive", lambda *_: False)
                [taken] = await other.recover(RUN)
                await (await other.resume(taken.attempt_key)).doubt("a", "its process seems dead")
            monkeypatch.undo()
            await second.settle("b", usd=PRICE)
            await first.settle("a", usd=PRICE)  # its charge is a fact, whatever the other one thought
        lines = await ledger.statement()

        assert [(line.settled, line.usd, line.usd_held, line.in_doubt) for line in lines] == 2 * [(1, PRICE, 0, 0)]
        assert await ledger.recover() == []

    on_ledger(ledger_url, story)


async def leave_open(ledger: Ledger, key: str) -> None:
    """An attempt that was sent, of a ledger that ends without booking it."""
    with suppress(LedgerUnavailable):
        async with ledger.reserve(spend(key)) as reservation:
            await reservation.sent()
            await ledger.aclose()


def test_a_process_elsewhere_is_waited_for_until_its_lease_ends(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can look across machines: only a lease that ran out tells."""
    clock = ManualClock()

    async def story(ledger: Ledger) -> None:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("tasks.credits.writer.Owner", lambda: Owner(place="another machine"))
            other = await Ledger.open(ledger_url, clock=clock)
        async with other, other.reserve(spend("a")) as reservation:
            await reservation.sent()
            await other.open_run(RUN, None)
            clock.advance(LEASE_S)
            within = await ledger.recover(RUN)
            clock.advance(1)
            after = await ledger.recover(RUN)
            await (await ledger.resume("a")).settle("a", usd=PRICE)
            await reservation.settle("a", usd=PRICE)  # it wakes, and says the same
        [line] = await ledger.statement()

        assert (within, len(after)) == ([], 1)
        assert (line.settled, line.usd) == (1, PRICE)

    on_ledger(ledger_url, story, clock=clock)
