"""The one door: may this spend start now? Decided in one transaction, for all that wait at one endpoint, in their order."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.credits.books import Books, Needs
from tasks.credits.clock import moment
from tasks.credits.errors import LedgerError, LedgerMisuse, Reason, Refusal
from tasks.credits.facts import AttemptIntent, AttemptState, Spend
from tasks.credits.money import to_nano
from tasks.credits.parking import begin_probe, is_parked, next_try_at, unpark
from tasks.credits.queueing import Queue
from tasks.credits.records import Account, Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One who waits at the door."""

    spend: Spend
    deadline: float | None = None  # POSIX seconds
    replay: bool = False  # the attempts exist and their money is held: only a start is wanted
    reservation_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Go."""

    request: Request
    ticketed: bool
    granted_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """One answer a request, None: keep waiting, and ask again at `next_look_at`."""

    answers: Sequence[Grant | LedgerError | None]
    next_look_at: float | None
    for_slot: bool  # it is a free slot that the first one waits for


@dataclass(frozen=True, slots=True)
class Admit:
    """Let in who may go in, refuse who may not, and draw a future ticket for the first who must wait."""

    provider: str
    endpoint: str
    requests: Sequence[Request]
    claim_id: str  # the one future ticket that this process may hold here

    def needs(self, needs: Needs) -> None:
        """The account with its queue, each run, each attempt key and each content key."""
        needs.queues.add(self.provider)
        for request in self.requests:
            needs.runs.add(request.spend.run_id)
            if request.replay:
                continue
            for intent in request.spend.attempts:
                needs.attempts.add(intent.attempt_key)
                if intent.content_key is not None:
                    needs.contents.add(intent.content_key)

    def apply(self, books: Books) -> Answers:
        """First come, first served."""
        account = books.account(self.provider)
        queue = Queue(books, account, self.endpoint, self.claim_id)
        answers: list[Grant | LedgerError | None] = []
        next_look_at: float | None = None
        for request in self.requests:
            try:
                if not request.replay:
                    _check_contents(books, request.spend)
                _check_parked(account, books.now)
                _check_money(books, account, request)
                start_at = next_look_at if next_look_at is not None else queue.start_at(_megapixels(request.spend))
                if request.deadline is not None and start_at > request.deadline:
                    raise past_deadline(self.provider, start_at)
                if start_at > books.now:
                    next_look_at = start_at
                    answers.append(None)
                    continue
                answers.append(_grant(books, account, queue, request))
            except LedgerError as refusal:
                answers.append(refusal)
        waiting = [r for r, answer in zip(self.requests, answers, strict=True) if answer is None]
        queue.claim(_megapixels(waiting[0].spend) if waiting else None)
        return Answers(answers=answers, next_look_at=next_look_at, for_slot=bool(waiting) and queue.full)


def _megapixels(spend: Spend) -> float:
    return sum(intent.megapixels for intent in spend.attempts)


def _check_money(books: Books, account: Account, request: Request) -> None:
    spend = request.spend
    run = books.run(spend.run_id)
    if request.replay:
        return
    prices = [(to_nano(intent.credits), to_nano(intent.usd)) for intent in spend.attempts]
    short = None if run.budget is None else _covered([usd for _, usd in prices], run.budget - run.held - run.spent)
    if short is not None and short < len(prices):
        raise Refusal(
            Reason.BUDGET_REACHED, f"the budget of run {run.run_id} leaves room for {short} more", affordable=short
        )
    if account.parked_reason is not None:
        return  # the probing request is to find out whether the balance is wrong
    for balance, held, wanted, unit in (
        (account.credits, account.credits_held, [c for c, _ in prices], "credits"),
        (account.usd, account.usd_held, [u for _, u in prices], "dollars"),
    ):
        if balance is not None and (covered := _covered(wanted, balance - held)) < len(wanted):
            message = (
                f"the {unit} at {account.provider} cover {covered} more; `cleanplate ledger top-up` when more came"
            )
            raise Refusal(Reason.OUT_OF_CREDITS, message, affordable=covered)


def _covered(prices: Sequence[int], available: int) -> int:
    """How many of the prices, in order, the money covers; what is free is always covered."""
    for number, price in enumerate(prices):
        if price > available and price > 0:
            return number
        available -= price
    return len(prices)


def _check_parked(account: Account, now: float) -> None:
    """Refuse while the account is parked, unless it is time for one probing request."""
    if account.parked_reason is None:
        return
    if not is_parked(account, now):
        unpark(account)
        return
    again = next_try_at(account, now)
    if again is None or again > now:
        raise Refusal(
            Reason.PARKED,
            f"{account.provider} is parked: {account.parked_reason}",
            retry_at=None if again is None else moment(again),
            detail=account.parked_reason,
        )


def past_deadline(provider: str, start_at: float) -> Refusal:
    """No permit in time."""
    return Refusal(Reason.DEADLINE, f"no permit at {provider} before the deadline", retry_at=moment(start_at))


def _check_contents(books: Books, spend: Spend) -> None:
    """Refuse what is delivered, under way or in doubt, naming the attempts that stand in the way."""
    blocked: dict[Reason, list[str]] = {}
    seen: set[str] = set()
    for intent in spend.attempts:
        reason = _in_the_way(books, intent, seen)
        if reason is not None:
            blocked.setdefault(reason, []).append(intent.attempt_key)
        if intent.content_key is not None:
            seen.add(intent.content_key)
    for reason, keys in blocked.items():
        message = f"{len(keys)} of {len(spend.attempts)}: {reason.replace('_', ' ')}"
        raise Refusal(reason, message, attempt_keys=tuple(keys))


def _in_the_way(books: Books, intent: AttemptIntent, seen: set[str]) -> Reason | None:
    key = intent.content_key
    if key is not None and key in books.delivered:
        return Reason.ALREADY_DELIVERED
    claimant = books.claimants.get(key) if key is not None else None
    if claimant is not None:
        return Reason.IN_DOUBT if claimant.in_doubt else Reason.IN_FLIGHT_ELSEWHERE
    if key in seen:
        return Reason.IN_FLIGHT_ELSEWHERE
    known = books.attempt(intent.attempt_key)
    if known is None or known.state == AttemptState.RELEASED:
        return None
    if known.open:
        return Reason.IN_FLIGHT_ELSEWHERE if books.owner_lives(known.owner) else Reason.IN_DOUBT
    raise LedgerMisuse(f"attempt key {intent.attempt_key} was used before and is {known.state}")


def _grant(books: Books, account: Account, queue: Queue, request: Request) -> Grant:
    """Hold the money, write the attempts ahead, take the start."""
    spend = request.spend
    run = books.run(spend.run_id)
    for intent in () if request.replay else spend.attempts:
        attempt = _attempt(books, request, intent)
        account.credits_held += attempt.credits_held
        account.usd_held += attempt.usd_held
        run.held += attempt.usd_held
        books.add(attempt, replaces=books.attempt(intent.attempt_key) is not None)
    if account.parked_reason is not None:
        begin_probe(account, books.now, request.reservation_id)
    queue.take(request.reservation_id, _megapixels(spend))
    return Grant(request=request, ticketed=queue.limited, granted_at=books.now)


def _attempt(books: Books, request: Request, intent: AttemptIntent) -> Attempt:
    spend = request.spend
    return Attempt(
        attempt_key=intent.attempt_key,
        reservation_id=request.reservation_id,
        run_id=spend.run_id,
        item_id=intent.item_id,
        provider=spend.provider,
        endpoint=spend.endpoint,
        content_key=intent.content_key,
        state=AttemptState.RESERVED,
        open=1,
        claims=int(intent.content_key is not None),
        owner=books.owner,
        credits_held=to_nano(intent.credits),
        usd_held=to_nano(intent.usd),
        credits=0,
        usd=0,
        reserved_at=books.now,
    )
