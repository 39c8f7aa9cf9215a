"""HTTP to addresses that a vendor's answer named: checked, bounded in bytes and time, and never with the API key."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tasks.providers.addresses import AddressGuard, AddressRefusedError
from tasks.providers.network import USER_AGENT, Network, bounded

_HEADERS: Final = {"user-agent": USER_AGENT, "accept": "image/*,*/*;q=0.5", "accept-encoding": "identity"}
MAX_HOPS: Final = 3  # redirects; each is checked like the first address


class ExchangeError(Exception):
    """It did not come about. The text holds no part of the address but its host."""

    def __init__(self, message: str, *, again: bool) -> None:
        """`again`: it may work the next time."""
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came."""

    status: int
    body: bytes = field(repr=False)
    location: str | None = field(default=None, repr=False)


class GuardedClient:
    """Asks foreign addresses, each checked first."""

    def __init__(self, *, guard: AddressGuard, network: Network, timeout_s: float, max_bytes: int) -> None:
        """`timeout_s` bounds a whole exchange, redirects included."""
        self._guard = guard
        self._network = network
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._connections: httpx.AsyncBaseTransport | None = None

    async def get(self, url: str) -> Reply:
        """Fetch, following a few redirects. ExchangeError when there is no answer."""
        return await self._bounded(url, None, {})

    async def put(self, url: str, body: bytes, media_type: str) -> Reply:
        """Upload; redirects are not followed. ExchangeError when there is no answer."""
        return await self._bounded(url, body, {"content-type": media_type})

    async def aclose(self) -> None:
        """Give back connections."""
        if self._connections is not None:
            await self._connections.aclose()
            self._connections = None

    async def _bounded(self, url: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await (self._follow(url) if body is None else self._once("PUT", url, body, headers))
        except AddressRefusedError as error:
            failure = ExchangeError(f"refused to connect: {error}", again=False)
        except (httpx.InvalidURL, ValueError):
            failure = ExchangeError("what the provider named is no address", again=False)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            failure = ExchangeError(f"the connection failed ({type(error).__name__})", again=True)
        raise failure  # outside `except`, or the signed address would ride along as its context

    async def _follow(self, url: str) -> Reply:
        for _ in range(MAX_HOPS + 1):
            reply = await self._once("GET", url, None, {})
            if reply.location is None:
                return reply
            url = str(httpx.URL(url).join(reply.location))
        raise ExchangeError(f"the address redirects more than {MAX_HOPS} times", again=False)

    async def _once(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        target = await self._guard.target(httpx.URL(url))
        headers = {**_HEADERS, **headers, "host": target.host_header}
        extensions = {"sni_hostname": target.server_name, **bounded(self._timeout_s)}
        *others, last = target.urls
        for address in others:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._exchange(method, address, content=body, headers=headers, extensions=extensions)
        return await self._exchange(method, last, content=body, headers=headers, extensions=extensions)

    async def _exchange(self, method: str, url: httpx.URL, **given: Any) -> Reply:
        if self._connections is None:
            self._connections = self._network.connections(keep=True)
        response = await self._connections.handle_async_request(httpx.Request(method, url, **given))
        try:
            return Reply(
                status=response.status_code,
                body=await self._read(response),
                location=response.headers["location"] if response.has_redirect_location else None,
            )
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        pieces, size = [], 0
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > self._max_bytes:
                raise ExchangeError(f"the file is larger than {self._max_bytes} bytes", again=False)
        return b"".join(pieces)
