"""A customer of the strict vendor: `python -m tests.benchmarks.limited_client LIMITER NAME COUNT AMOUNT PERIOD_S PORT STORE`.

Sends COUNT requests, 30 at once at most, each after a permit of LIMITER; a request answered with 429 waits for what Retry-After
says and asks for another permit. Begins when a line comes on stdin.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Protocol

import httpx

IN_FLIGHT = 30
BODY = os.urandom(50_000)
OnSent = Callable[[], Awaitable[None]]


class Limiter(Protocol):
    """What is compared."""

    def permit(self) -> Any:
        """An async context manager: inside it, one request may leave. Gives what is to be called when it has left."""
        ...

    async def refused(self, retry_after_s: float) -> None:
        """The vendor said 429."""
        ...


class OurLedger:
    """cleanplate: everything that a paid request goes through, not the rate limit alone."""

    def __init__(self, name: str, ledger: Any) -> None:
        self.name, self.ledger, self.numbers = name, ledger, itertools.count()

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[OnSent]:
        from tasks.credits import AttemptIntent, Spend  # noqa: PLC0415 - the other limiters do not need it

        key = f"{self.name}-{next(self.numbers)}"
        intent = AttemptIntent(attempt_key=key, item_id=key, content_key=key, usd=Decimal("0.48"))
        async with self.ledger.reserve(Spend(run_id="run", provider="vendor", attempts=(intent,))) as reservation:
            yield reservation.sent
            await reservation.settle(key, usd=Decimal("0.48"))

    async def refused(self, retry_after_s: float) -> None:
        await self.ledger.rate_limited("vendor", retry_after_s)


class OthersLimiter:
    """A library whose permit is one call."""

    def __init__(self, acquire: Callable[[], Awaitable[Any]]) -> None:
        self.acquire = acquire

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[OnSent]:
        await self.acquire()
        yield _nothing

    async def refused(self, retry_after_s: float) -> None:
        await asyncio.sleep(retry_after_s)


async def _nothing() -> None:
    return


@asynccontextmanager
async def limiter_of(kind: str, name: str, amount: int, period_s: float, store: str) -> AsyncIterator[Limiter]:
    if kind == "ledger":
        from tasks.config.limits import RateLimit  # noqa: PLC0415 - each kind loads its own library only
        from tasks.credits import AccountTerms, Ledger  # noqa: PLC0415

        async with await Ledger.open(store) as ledger:
            await ledger.open_account("vendor", AccountTerms(limits=[RateLimit(amount=amount, period_s=period_s)]))
            await ledger.open_run("run", None)
            yield OurLedger(name, ledger)
    elif kind == "pyrate":
        from pyrate_limiter import Limiter as Pyrate  # noqa: PLC0415
        from pyrate_limiter import Rate  # noqa: PLC0415

        limiter = Pyrate(Rate(amount, round(period_s * 1000)))
        yield OthersLimiter(lambda: limiter.try_acquire_async("vendor"))
    else:
        from prefect.concurrency.asyncio import rate_limit  # noqa: PLC0415

        yield OthersLimiter(lambda: rate_limit(store, strict=True))


async def work(limiter: Limiter, count: int, port: int) -> None:
    """Send them all."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    url = f"http://127.0.0.1:{port}/edit"

    async def one(client: httpx.AsyncClient) -> None:
        async with slots:
            while (retry_after_s := await _request(limiter, client, url)) is not None:
                await limiter.refused(retry_after_s)

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=IN_FLIGHT)) as client:
        await asyncio.gather(*(one(client) for _ in range(count)))


async def _request(limiter: Limiter, client: httpx.AsyncClient, url: str) -> float | None:
    async with limiter.permit() as on_sent:

        async def trace(event: str, _: Any) -> None:
            if event == "http11.send_request_body.complete":
                await on_sent()

        response = await client.post(url, content=BODY, extensions={"trace": trace})
        return float(response.headers["retry-after"]) if response.status_code == 429 else None


async def main(kind: str, name: str, count: int, amount: int, period_s: float, port: int, store: str) -> None:
    async with limiter_of(kind, name, amount, period_s, store) as limiter:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await work(limiter, count, port)


if __name__ == "__main__":
    _, kind_, name_, count_, amount_, period_, port_, store_ = sys.argv
    asyncio.run(main(kind_, name_, int(count_), int(amount_), float(period_), int(port_), store_))
