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

    def client(self, *, keep: bool, timeout_s: float, accept: str = "application/json") -> httpx.AsyncClient:
        """A client that follows no redirects; `keep`: idle connections are used again, where no proxy stands between."""
        return httpx.AsyncClient(
            transport=self.transport or self._direct(keep=keep),
            verify=trusted(),
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"user-agent": "cleanplate", "accept": accept},
            mounts=dict.fromkeys(_THIS_MACHINE),
        )

    @staticmethod
    def _direct(*, keep: bool) -> httpx.AsyncBaseTransport | None:
        """None where the environment names a proxy: httpx knows all of its rules."""
        return None if getproxies() else Connections(verify=trusted(), keep=keep)
