"""A process of its own, to be killed: `python -m tests.tasks.credits.child STORY URL …`. Tells on stdout how far it is."""

import asyncio
import sys
import time
from decimal import Decimal

from tasks.credits import Ledger, Refusal
from tests.tasks.credits.factories import PRICE, pay, spend


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def leave_open(ledger: Ledger, name: str, _: int) -> None:
    """One attempt in each open state, and then nothing more."""
    async with (
        ledger.reserve(spend(f"{name}-reserved")),
        ledger.reserve(spend(f"{name}-sent")) as sent,
        ledger.reserve(spend(f"{name}-accepted")) as accepted,
    ):
        await sent.sent()
        await accepted.sent()
        await accepted.accepted(f"{name}-accepted", "remote-1", "request-1")
        await pay(ledger, spend(f"{name}-settled"))
        tell("ready")
        await asyncio.Event().wait()


async def start_often(ledger: Ledger, name: str, count: int) -> None:
    """Requests as fast as the limit allows: when each was permitted, and when it had left."""

    async def one(number: int) -> None:
        async with ledger.reserve(spend(f"{name}-{number}", usd=Decimal(0))) as reservation:
            permitted = time.time()
            await reservation.sent()
            left = time.time()
            await reservation.settle(f"{name}-{number}")
        tell("start", permitted, left)

    await asyncio.gather(*(one(number) for number in range(count)))


async def spend_all(ledger: Ledger, name: str, port: int) -> None:
    """Pay at the provider on that port for as long as the budget lasts, three at a time; begin when the others do."""
    slots = asyncio.Semaphore(3)

    async def one(number: int) -> None:
        key = f"{name}-{number}"
        async with slots, ledger.reserve(spend(key)) as reservation:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{key}\n".encode())
            await writer.drain()
            await reservation.sent()
            await reader.readline()
            writer.close()
            await reservation.settle(key, usd=PRICE)

    tell("ready")
    sys.stdin.readline()
    answers = await asyncio.gather(*(one(number) for number in range(50)), return_exceptions=True)
    tell("paid", answers.count(None))
    for answer in answers:
        if answer is not None and not isinstance(answer, Refusal):
            raise answer


async def main(story: str, url: str, name: str, number: str) -> None:
    async with await Ledger.open(url) as ledger:
        await {"leave_open": leave_open, "start_often": start_often, "spend_all": spend_all}[story](
            ledger, name, int(number)
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
