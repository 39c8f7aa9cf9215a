"""What the ledger's tests are made of."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal

import pytest

from tasks.config.limits import RateLimit
from tasks.credits import AccountTerms, AttemptIntent, Charge, Endpoint, Ledger, ManualClock, Refusal, Spend

PROVIDER = "maskr"
RUN = "run-1"
PRICE = Decimal("0.48")


def intent(
    key: str, *, usd: Decimal = PRICE, credits: Decimal = Decimal(0), content: str | None = None
) -> AttemptIntent:
    return AttemptIntent(attempt_key=key, item_id=f"item of {key}", content_key=content, usd=usd, credits=credits)


def spend(*keys: str, run: str = RUN, provider: str = PROVIDER, **prices: Decimal) -> Spend:
    attempts = tuple(intent(key, content=f"content of {key}", **prices) for key in keys)
    return Spend(run_id=run, provider=provider, attempts=attempts, endpoint=Endpoint.SINGLE)


def terms(*limits: str, max_in_flight: int | None = None, credits: Decimal | None = None) -> AccountTerms:
    return AccountTerms(limits=tuple(map(RateLimit.parse, limits)), max_in_flight=max_in_flight, credits=credits)


async def pay(ledger: Ledger, wanted: Spend) -> None:
    """The whole life of a request that goes well, at its listed price."""
    async with ledger.reserve(wanted) as reservation:
        await reservation.sent()
        await reservation.settle_all({i.attempt_key: Charge(credits=i.credits, usd=i.usd) for i in wanted.attempts})


class CrashError(Exception):
    """Stands for whatever may go wrong."""


async def crash(ledger: Ledger, wanted: Spend, *, sent: bool) -> None:
    """A request that is cut off, before or after its body left."""
    with suppress(CrashError):
        async with ledger.reserve(wanted) as reservation:
            if sent:
                await reservation.sent()
            raise CrashError


async def refusal(ledger: Ledger, wanted: Spend, *, deadline: datetime | None = None) -> Refusal:
    """The refusal that this must meet."""
    with pytest.raises(Refusal) as refused:
        await ledger.reserve(wanted, deadline=deadline).__aenter__()
    return refused.value


class Rehearsal:
    """Requests against a limited account, in the clock's own time: it is turned on only when nothing else can happen."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.starts: list[tuple[float, Spend]] = []  # seconds from the beginning
        self._began = clock.time()
        self._ledgers: set[Ledger] = set()

    async def request(self, ledger: Ledger, wanted: Spend, *, takes_s: float = 0.0) -> None:
        """Reserve, send, wait for the answer, settle."""
        self._ledgers.add(ledger)
        async with ledger.reserve(wanted) as reservation:
            self.starts.append((self.clock.time() - self._began, wanted))
            await reservation.sent()
            await self.clock.sleep(takes_s)
            await reservation.settle_all({i.attempt_key: Charge(usd=i.usd) for i in wanted.attempts})

    async def play(self, *requests: Awaitable[None]) -> float:
        """All of them; seconds until the last is done."""
        everything = asyncio.gather(*requests)
        while not everything.done():
            await self._quiet()
            if not everything.done():
                self.clock.advance(await self.clock.next_due_s())
        await everything
        return self.clock.time() - self._began

    async def _quiet(self) -> None:
        """Until nobody can go on before the clock does."""
        calm = 0
        while calm < 20:  # turns of the loop in which nothing was written
            await asyncio.sleep(0)
            calm = calm + 1 if not any(ledger.unanswered for ledger in self._ledgers) else 0

    def fullest(self, period_s: float) -> int:
        """The most starts in any window of this length."""
        moments = [at for at, _ in self.starts]
        return max(sum(end - period_s < at <= end for at in moments) for end in moments)


def on_ledger(
    url: str,
    story: Callable[[Ledger], Awaitable[None]],
    *,
    account: AccountTerms | None = None,
    budget: Decimal | None = None,
    clock: ManualClock | None = None,
) -> None:
    """Run a story on an opened ledger with one account and one run."""

    async def run() -> None:
        async with await Ledger.open(url, clock=clock) as ledger:
            await ledger.open_account(PROVIDER, account or AccountTerms())
            await ledger.open_run(RUN, budget)
            await story(ledger)

    asyncio.run(run())
