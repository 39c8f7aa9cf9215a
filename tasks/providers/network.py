"""The outside world as one value: what tests replace, and nothing else does."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final
from urllib.request import getproxies

import httpx

from tasks.providers.addresses import Resolve, system_resolve
from tasks.providers.connections import Connections

USER_AGENT: Final = "cleanplate"
_CONNECT_TIMEOUT_S: Final = 10
_THIS_MACHINE: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")  # never by a proxy: it has another


def utc_now() -> datetime:
    """The clock that is used unless another is passed in."""
    return datetime.now(UTC)


@cache
def trusted() -> ssl.SSLContext:
    """The certificates to trust, read once: it takes tens of milliseconds."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """How the world is reached: transport, names and time."""

    transport: httpx.AsyncBaseTransport | None = None  # None: real connections
    resolve: Resolve = system_resolve
    clock: Callable[[], datetime] = utc_now

    def connections(self, *, keep: bool) -> httpx.AsyncBaseTransport:
        """Requests leave by it as they are: nothing is added, followed or remembered. `keep`: idle connections are used again."""
        return self.transport or (ByProxy() if getproxies() else Connections(verify=trusted(), keep=keep))

    def client(self, *, timeout_s: float) -> httpx.AsyncClient:
        """A client that follows no redirects and keeps no connections."""
        return httpx.AsyncClient(
            transport=self.connections(keep=False),
            verify=trusted(),
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
            headers={"user-agent": USER_AGENT},
        )


class ByProxy(httpx.AsyncBaseTransport):
    """httpx's own connections, which know every rule of the environment's proxies; none is kept."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            verify=trusted(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            mounts=dict.fromkeys(_THIS_MACHINE),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange up to the answer's headers."""
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._client.aclose()


def bounded(timeout_s: float, *, connect_s: float = _CONNECT_TIMEOUT_S) -> dict[str, dict[str, float | None]]:
    """A request's extension that limits each step of it."""
    return {"timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, connect_s)).as_dict()}
