"""HTTP as adapters see it: one request out, one bounded answer or one `ProviderError` back. No retries, no waiting.

A charged request gets a connection of its own. On a kept-alive one the server may hang up just as the request leaves, and nobody could
then say whether it was taken; one more handshake is cheaper than a request in doubt. HTTP/2 is left out for the same reason: one lost
connection would put fifty requests in doubt instead of one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx

from manifests.error_codes import ErrorCode
from tasks.config.providers import ProviderSettings
from tasks.providers.answers import Answer
from tasks.providers.base import OnSent
from tasks.providers.errors import InDoubtError, ProviderError, ProviderOffError, TransientError
from tasks.providers.network import USER_AGENT, Network, bounded
from tasks.providers.redact import Redactor
from tasks.providers.statuses import Interpreter, Purpose

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024  # a picture as base64 inside JSON may be the answer
_HEADERS: Final = {"user-agent": USER_AGENT, "accept": "application/json"}
_PIECE_BYTES: Final = 256 * 1024
_NEVER_LEFT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.WriteError,
    httpx.WriteTimeout,
)
_TELLING: Final = (httpx.ConnectError, httpx.ProxyError)  # whose text says why, and holds no part of the request

Files = list[tuple[str, tuple[str, bytes, str]]]
"""Multipart fields: (field, (file name, bytes, media type))."""


class Flight(httpx.AsyncByteStream):
    """One request's body on its way: in large pieces, and with a word when the last of it has left this machine.

    A transport asks for the next piece when it has written the one before, and for the end when it has written them all.
    """

    def __init__(self, body: httpx.SyncByteStream | httpx.AsyncByteStream, on_sent: OnSent | None) -> None:
        """`on_sent` is called once, when the body has left."""
        assert isinstance(body, httpx.AsyncByteStream)  # noqa: S101 - what httpx.Request makes is both
        self.left = False
        self.failure: Exception | None = None  # of `on_sent`: transports hide what is raised inside a body
        self._body = body
        self._on_sent = on_sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held: list[bytes] = []
        size = 0
        async for part in self._body:  # httpx hands out every header and file of a multipart body by itself
            held.append(part)
            size += len(part)
            if size >= _PIECE_BYTES:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)
        await self.departed()

    async def aclose(self) -> None:
        await self._body.aclose()

    async def departed(self) -> None:
        """The body has left."""
        if self.left:
            return
        self.left = True
        if self._on_sent is not None:
            try:
                await self._on_sent()
            except Exception as error:
                self.failure = error
                raise

    def may_have_arrived(self, error: Exception) -> bool:
        """Whether the vendor may hold the whole request."""
        return self.left and not isinstance(error, _NEVER_LEFT)


class Wire:
    """The connections to one provider's API."""

    def __init__(
        self,
        *,
        interpreter: Interpreter,
        settings: ProviderSettings,
        authorize: Callable[[], Mapping[str, str]] = dict,
        network: Network,
    ) -> None:
        """`authorize` gives the headers that carry the key, asked anew for each request."""
        self.interpreter = interpreter
        self.clock = network.clock
        self._settings = settings
        self._authorize = authorize
        self._network = network
        self._connections: dict[bool, httpx.AsyncBaseTransport] = {}

    async def send(
        self,
        method: str,
        url: str,
        *,
        purpose: Purpose,
        json: object = None,
        files: Files | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        on_sent: OnSent | None = None,
        authorized: bool = True,
    ) -> Answer:
        """One request. `url` is a path under `base_url`, or a whole address.

        Raises:
            ProviderError: whatever is not a 2xx answer, as `statuses.py` reads it.
        """
        limit_s = timeout_s or self._settings.request_timeout_s
        address = url if "://" in url else self._settings.base_url.rstrip("/") + url
        try:
            request = httpx.Request(
                method,
                address,
                json=json,
                files=files,
                content=content,
                params=params,
                headers={**_HEADERS, **(self._authorize() if authorized else {}), **(headers or {})},
                extensions=bounded(limit_s, connect_s=self._settings.connect_timeout_s),
            )
        except httpx.InvalidURL:
            raise ProviderOffError(
                f"{self.interpreter.name}: base_url is no address", code=ErrorCode.PROVIDER_ERROR
            ) from None
        flight = Flight(request.stream, on_sent)
        request.stream = flight
        async with self._translated(flight, purpose, limit_s):
            answer = await self._exchange(request, purpose)
        await flight.departed()  # an answer came before the last byte left
        error = self.interpreter.error_for(answer, purpose, now=self.clock())
        if error is not None:
            raise error
        return answer

    async def aclose(self) -> None:
        """Give back connections."""
        for connections in self._connections.values():
            await connections.aclose()
        self._connections.clear()

    async def _exchange(self, request: httpx.Request, purpose: Purpose) -> Answer:
        response = await self._to_vendor(charged=purpose is Purpose.SUBMIT).handle_async_request(request)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    break  # what is cut off will not parse, and be reported as such
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status=response.status_code, headers=headers, body=bytes(body))
        finally:
            await response.aclose()

    def _to_vendor(self, *, charged: bool) -> httpx.AsyncBaseTransport:
        if charged not in self._connections:
            self._connections[charged] = self._network.connections(keep=not charged)
        return self._connections[charged]

    @asynccontextmanager
    async def _translated(self, flight: Flight, purpose: Purpose, limit_s: float) -> AsyncIterator[None]:
        """Transport failures become `ProviderError`s; the whole exchange is bounded by `limit_s`, however slowly bytes drip."""
        failure: Exception | None = None
        try:
            async with asyncio.timeout(limit_s):
                yield
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            failure = error
        if flight.failure is not None:
            raise flight.failure
        if failure is not None:  # outside `except`: the request, with its key, hangs on httpx's errors
            raise transport_error(self.interpreter.name, self.interpreter.redact, failure, flight, purpose)


def transport_error(name: str, redact: Redactor, failure: Exception, flight: Flight, purpose: Purpose) -> ProviderError:
    """What a broken exchange means: before the body left nothing happened, after it nobody knows."""
    slow = isinstance(failure, TimeoutError | httpx.TimeoutException)
    what = "gave no answer in time" if slow else "broke the connection"
    why = f": {redact.excerpt(str(failure))}" if isinstance(failure, _TELLING) and str(failure) else ""
    if purpose is Purpose.SUBMIT and flight.may_have_arrived(failure):
        return InDoubtError(f"{name} {what} after the request had left ({type(failure).__name__})")
    if isinstance(failure, _NEVER_LEFT):
        what = "could not be reached"
    code = ErrorCode.PROVIDER_TIMEOUT if slow else ErrorCode.PROVIDER_UNAVAILABLE
    return TransientError(f"{name} {what} ({type(failure).__name__}{why})", code=code)
