"""Two processes, one ledger, any order of events: the books always equal a model that fits on a page."""

import asyncio
import itertools
import os
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tasks.config.limits import RateLimit
from tasks.credits import (
    AccountTerms,
    AttemptIntent,
    AttemptState,
    Delivery,
    Ledger,
    LedgerUnavailable,
    ManualClock,
    Reason,
    Refusal,
    Reservation,
    Resolution,
    Spend,
)
from tasks.credits.clock import moment

LIMIT = RateLimit(amount=4, period_s=10)
GUARD_S = 0.1
CREDITS, BUDGET = 30, 20
numbers = itertools.count()


@dataclass
class Modelled:
    """One attempt, as the model has it."""

    intent: AttemptIntent
    ledger: int
    state: AttemptState = AttemptState.RESERVED
    charged_usd: Decimal = Decimal(0)
    claims: bool = True


@dataclass(eq=False)
class Request:
    """One request: its attempts, the real reservation, and when it left."""

    ledger: int
    keys: list[str]
    reservation: Reservation
    context: Any
    permitted_at: float
    left_at: float | None = None


@dataclass
class Model:
    """What must be true."""

    attempts: dict[str, Modelled] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    credits: Decimal = Decimal(CREDITS)
    budget: Decimal = Decimal(BUDGET)
    starts: list[float] = field(default_factory=list)
    parked: bool = False

    def in_state(self, *states: AttemptState) -> list[Modelled]:
        return [one for one in self.attempts.values() if one.state in states]

    @property
    def held(self) -> list[Modelled]:
        return self.in_state(AttemptState.RESERVED, AttemptState.SENT, AttemptState.ACCEPTED, AttemptState.IN_DOUBT)

    @property
    def available(self) -> Decimal:
        return self.credits - sum(one.intent.credits for one in self.held)

    @property
    def room(self) -> Decimal:
        spent = sum((one.charged_usd for one in self.in_state(AttemptState.SETTLED)), Decimal(0))
        return self.budget - spent - sum(one.intent.usd for one in self.held)

    def refusal(self, intents: list[AttemptIntent], now: float, unsent: int) -> Reason | None:
        """Why these must be refused now, or None."""
        of_content = self._content_refusal(intents)
        recent = sum(now - LIMIT.period_s - GUARD_S < at for at in self.starts)
        reasons = {
            of_content: of_content is not None,
            Reason.PARKED: self.parked,
            Reason.BUDGET_REACHED: sum(intent.usd for intent in intents) > self.room,
            Reason.OUT_OF_CREDITS: sum(intent.credits for intent in intents) > self.available,
            Reason.DEADLINE: recent + unsent >= LIMIT.amount,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _content_refusal(self, intents: list[AttemptIntent]) -> Reason | None:
        seen: set[str | None] = set()
        for intent in intents:
            claimant = next((a for a in self.held if a.intent.content_key == intent.content_key and a.claims), None)
            if intent.content_key in self.delivered:
                return Reason.ALREADY_DELIVERED
            if claimant is not None:
                doubtful = claimant.state is AttemptState.IN_DOUBT
                return Reason.IN_DOUBT if doubtful else Reason.IN_FLIGHT_ELSEWHERE
            if intent.content_key in seen:
                return Reason.IN_FLIGHT_ELSEWHERE
            seen.add(intent.content_key)
        return None


class TwoProcesses(RuleBasedStateMachine):
    """The rules by which the world may act on the ledger."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.number = next(numbers)
        self.provider, self.run_id = f"provider-{self.number}", f"run-{self.number}"
        self.clock = ManualClock()
        self.model = Model()
        self.requests: list[Request] = []
        self.runner = asyncio.Runner()
        self.ledgers: list[Ledger] = []
        self.run(self._open())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def _open(self) -> None:
        self.ledgers = [await Ledger.open(self.url, clock=self.clock) for _ in range(2)]
        terms = AccountTerms(limits=[LIMIT], credits=Decimal(CREDITS))
        await self.ledgers[0].open_account(self.provider, terms)
        await self.ledgers[0].open_run(self.run_id, Decimal(BUDGET))

    def teardown(self) -> None:
        for ledger in self.ledgers:
            self.run(ledger.aclose())
        self.runner.close()

    # What may happen

    @rule(
        ledger=st.integers(0, 1),
        wanted=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=3),
    )
    def reserve(self, ledger: int, wanted: list[tuple[int, int, int]]) -> None:
        intents = [
            AttemptIntent(
                attempt_key=f"{self.number}-{next(numbers)}",
                item_id="item",
                content_key=f"{self.number}-content-{content}",
                credits=Decimal(credits),
                usd=Decimal(usd) / 2,
            )
            for content, credits, usd in wanted
        ]
        now = self.clock.time()
        unsent = sum(request.left_at is None for request in self.requests)
        expected = self.model.refusal(intents, now, unsent)
        spend = Spend(run_id=self.run_id, provider=self.provider, attempts=intents)
        context = self.ledgers[ledger].reserve(spend, deadline=moment(now) + timedelta(milliseconds=1))
        [answer] = self.run(_answers(context.__aenter__()))
        assert (answer.reason if isinstance(answer, Refusal) else None) is expected
        if isinstance(answer, Refusal):
            return
        self.model.attempts |= {one.attempt_key: Modelled(one, ledger) for one in intents}
        keys = [one.attempt_key for one in intents]
        self.requests.append(Request(ledger, keys, answer, context, now))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def the_body_leaves(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.requests))
        if request.left_at is not None:
            return
        self.run(request.reservation.sent())
        self._left(request)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), delivers=st.booleans(), less=st.booleans())
    def an_answer_comes(self, data: st.DataObject, delivers: bool, less: bool) -> None:
        request, key = self._draw(data)
        one = self.model.attempts[key]
        self._left(request)
        usd, credits = (one.intent.usd / 2, one.intent.credits // 2) if less else (one.intent.usd, one.intent.credits)
        picture = self._delivery(one.intent.content_key) if delivers else None
        self.run(request.reservation.settle(key, credits, usd, delivery=picture))
        if delivers and one.intent.content_key is not None:
            self.model.delivered.add(one.intent.content_key)
        self._settled(one, usd, credits)
        self._close(request)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def it_is_accepted(self, data: st.DataObject) -> None:
        request, key = self._draw(data)
        self._left(request)
        self.run(request.reservation.accepted(key, f"remote {key}"))
        self.model.attempts[key].state = AttemptState.ACCEPTED

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def it_is_refused_unpaid(self, data: st.DataObject) -> None:
        request, key = self._draw(data)
        self.run(request.reservation.release(key, "refused"))
        self.model.attempts[key].state = AttemptState.RELEASED
        self._close(request)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), fails=st.booleans())
    def the_work_ends_early(self, data: st.DataObject, fails: bool) -> None:
        request = data.draw(st.sampled_from(self.requests))
        error = ValueError("cut off") if fails else None
        with suppress(ValueError):
            self.run(request.context.__aexit__(type(error) if error else None, error, None))
        self.requests.remove(request)
        for key in request.keys:
            one = self.model.attempts[key]
            if one.state is AttemptState.SENT or (one.state is AttemptState.RESERVED and request.left_at is not None):
                one.state = AttemptState.IN_DOUBT
            elif one.state is AttemptState.RESERVED:
                one.state = AttemptState.RELEASED
        if any(self.model.attempts[key].state is AttemptState.ACCEPTED for key in request.keys):
            self._recover(request.ledger)

    @rule(ledger=st.integers(0, 1), by=st.integers(0, 1))
    def a_process_dies_and_another_recovers(self, ledger: int, by: int) -> None:
        self.run(self.ledgers[ledger].aclose())
        self.ledgers[ledger] = self.run(Ledger.open(self.url, clock=self.clock))
        for request in [one for one in self.requests if one.ledger == ledger]:
            if request.left_at is None:  # it may have left in the last moment: the start counts
                self.model.starts.append(self.clock.time())
            self.requests.remove(request)
            with suppress(LedgerUnavailable, RuntimeError):
                self.run(request.context.__aexit__(None, None, None))
        self._recover(by)
        self.clock.advance(LIMIT.period_s + 20)  # until the dead one's unstamped starts have surely passed
        self._beat()

    @precondition(lambda self: self.model.in_state(AttemptState.IN_DOUBT))
    @rule(data=st.data(), word=st.sampled_from(Resolution))
    def the_user_says_what_became_of_it(self, data: st.DataObject, word: Resolution) -> None:
        one = data.draw(st.sampled_from(self.model.in_state(AttemptState.IN_DOUBT)))
        self.run(self.ledgers[0].resolve(one.intent.attempt_key, word))
        if word is Resolution.NOT_CHARGED:
            one.state = AttemptState.RELEASED
        elif word is Resolution.SEND_AGAIN:
            one.claims = False
        else:
            claims = one.claims
            self._settled(one, one.intent.usd, one.intent.credits)
            if claims:  # paid without a picture: let the user allow it again, so that the model stays small
                self.run(self.ledgers[0].resolve(one.intent.attempt_key, Resolution.SEND_AGAIN))

    @rule(seconds=st.integers(0, 12))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self._beat()

    @rule(credits=st.integers(1, 5))
    def credits_come(self, credits: int) -> None:
        self.run(self.ledgers[1].top_up(self.provider, Decimal(credits)))
        self.model.credits += credits

    @rule()
    def the_account_is_parked_and_used_again(self) -> None:
        until = moment(self.clock.time() + 5)
        self.run(self.ledgers[0].park(self.provider, "maintenance", until))
        self.model.parked = True
        self.reserve(1, [(0, 1, 1)])
        self.clock.advance(5)
        self.model.parked = False
        self._beat()

    # What must be true after each

    @invariant()
    def the_books_equal_the_model(self) -> None:
        seen = self.run(self.ledgers[0].outlook(self.provider))
        lines = self.run(self.ledgers[1].statement(run_id=self.run_id))
        doubtful = self.run(self.ledgers[0].in_doubt(self.run_id))
        model = self.model

        assert seen.credits_available == model.available
        assert seen.in_flight == len(self.requests)
        assert sum(line.settled for line in lines) == len(model.in_state(AttemptState.SETTLED))
        assert sum(line.released for line in lines) == len(model.in_state(AttemptState.RELEASED))
        assert sum(line.usd for line in lines) == sum(a.charged_usd for a in model.in_state(AttemptState.SETTLED))
        assert sum(line.usd_held for line in lines) == sum(a.intent.usd for a in model.held)
        assert {a.attempt_key for a in doubtful} == {
            a.intent.attempt_key for a in model.in_state(AttemptState.IN_DOUBT)
        }

    @invariant()
    def nothing_is_overspent(self) -> None:
        assert self.model.room >= 0

    # Inside

    def _draw(self, data: st.DataObject) -> tuple[Request, str]:
        request = data.draw(st.sampled_from(self.requests))
        return request, data.draw(st.sampled_from(request.reservation.open_keys))

    def _left(self, request: Request) -> None:
        if request.left_at is None:
            request.left_at = self.clock.time()
            self.model.starts.append(request.left_at)
            for key in request.keys:
                if self.model.attempts[key].state is AttemptState.RESERVED:
                    self.model.attempts[key].state = AttemptState.SENT

    def _settled(self, one: Modelled, usd: Decimal, credits: Decimal) -> None:
        one.state, one.charged_usd = AttemptState.SETTLED, usd
        self.model.credits -= credits

    def _close(self, request: Request) -> None:
        if not request.reservation.open_keys:
            self.requests.remove(request)
            self.run(request.context.__aexit__(None, None, None))

    def _recover(self, by: int) -> None:
        """Everything that nobody answers for is looked at: accepted ones have an end, the others are in doubt."""
        for found in self.run(self.ledgers[by].recover(self.run_id)):
            one = self.model.attempts[found.attempt_key]
            resumed = self.run(self.ledgers[by].resume(found.attempt_key))
            if found.state is AttemptState.ACCEPTED:
                self.run(resumed.settle(found.attempt_key, one.intent.credits, one.intent.usd))
                self._settled(one, one.intent.usd, one.intent.credits)
            else:
                self.run(resumed.doubt(found.attempt_key, "its process died"))
                one.state = AttemptState.IN_DOUBT

    def _beat(self) -> None:
        """Both processes live, so they renew their leases."""
        for ledger in self.ledgers:
            self.run(ledger.open_run(self.run_id, Decimal(BUDGET)))

    def _delivery(self, content_key: str | None) -> Delivery:
        return Delivery(
            content_key=content_key or "",
            output_uri="s3://out/x.png",
            sha256="0" * 64,
            width=1,
            height=1,
            media_type="image/png",
            provider=self.provider,
        )


async def _answers(*work: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*work, return_exceptions=True)


def test_no_order_of_events_overspends_loses_or_pays_twice(ledger_url: str) -> None:
    machine = type("Machine", (TwoProcesses,), {"url": ledger_url})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=int(os.environ.get("EXAMPLES", "12")),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
