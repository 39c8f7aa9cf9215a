"""Raw servers on the loopback, for what only a real connection can do: hang up, hang, drip."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Conduct = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(conduct: Conduct, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that treats each connection so; its address, with http:// also where it speaks TLS."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await conduct(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    host, port = listening.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One whole request, by its Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)


def answer(body: bytes = b"{}", status: str = "200 OK", length: int | None = None) -> bytes:
    stated = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-length: {stated}\r\n\r\n".encode() + body
