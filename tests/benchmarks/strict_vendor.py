"""A vendor that keeps a strict sliding window: `python -m tests.benchmarks.strict_vendor AMOUNT PERIOD_S`, a process of its own.

It counts a request when its head has arrived, accepts at most AMOUNT in any PERIOD_S seconds, and answers 429 with Retry-After
to the rest, which do not count. `GET /report` tells what arrived when. The first line on stdout is the port.
"""

import asyncio
import json
import sys
import time
from collections import deque

LATENCY_S = 0.3
ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "edited"}}]})  # what peers look for


class Vendor:
    """The window and what came through it."""

    def __init__(self, amount: int, period_s: float) -> None:
        self.amount, self.period_s = amount, period_s
        self.window: deque[float] = deque()
        self.accepted: list[float] = []
        self.refused = 0

    def arrival(self) -> float | None:
        """None: accepted; else after how long to come again."""
        now = time.monotonic()
        while self.window and self.window[0] <= now - self.period_s:
            self.window.popleft()
        if len(self.window) >= self.amount:
            self.refused += 1
            return self.window[0] + self.period_s - now
        self.window.append(now)
        self.accepted.append(now)
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if head.startswith("get /report"):
                    _answer(writer, "200 OK", json.dumps({"accepted": self.accepted, "refused": self.refused}))
                    continue
                wait_s = self.arrival()
                await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
                if wait_s is None:
                    await asyncio.sleep(LATENCY_S)
                    _answer(writer, "200 OK", ANSWER)
                else:
                    _answer(writer, "429 Too Many Requests", "{}", f"retry-after: {wait_s:.3f}\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _answer(writer: asyncio.StreamWriter, status: str, body: str, more: str = "") -> None:
    writer.write(f"HTTP/1.1 {status}\r\n{more}content-length: {len(body)}\r\n\r\n{body}".encode())


async def run(amount: int, period_s: float) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(Vendor(amount, period_s).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), float(sys.argv[2])))
