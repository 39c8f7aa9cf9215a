"""The outside world as one value: what tests replace, and nothing else does."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

import httpx

from tasks.providers.addresses import Resolve, system_resolve

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

    def client(self, *, keep: int, timeout_s: float, accept: str = "application/json") -> httpx.AsyncClient:
        """A client that follows no redirects and keeps at most `keep` idle connections."""
        return httpx.AsyncClient(
            transport=self.transport,
            verify=trusted(),
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=keep, keepalive_expiry=5),
            headers={"user-agent": "cleanplate", "accept": accept},
            mounts=dict.fromkeys(_THIS_MACHINE),
        )
