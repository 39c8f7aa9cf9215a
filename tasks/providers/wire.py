"""HTTP as adapters see it: one request out, one bounded answer or one `ProviderError` back. No retries, no waiting.

A charged request gets a connection of its own. On a kept-alive one the server may hang up just as the request leaves, and nobody could
then say whether it was taken; one more handshake is cheaper than a request in doubt. HTTP/2 is left out for the same reason: one lost
connection would put fifty requests in doubt instead of one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from manifests.error_codes import ErrorCode
from tasks.config.providers import ProviderSettings
from tasks.providers.answers import Answer
from tasks.providers.base import OnSent
from tasks.providers.errors import InDoubtError, ProviderError, ProviderOffError, TransientError
from tasks.providers.network import Network
from tasks.providers.redact import Redactor
from tasks.providers.statuses import Interpreter, Purpose

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024  # a picture as base64 inside JSON may be the answer
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


class Flight:
    """Follows one request through httpx's `trace` extension: did its body leave this machine?"""

    def __init__(self, on_sent: OnSent | None) -> None:
        """`on_sent` is called once, when it did."""
        self.left = False
        self._on_sent = on_sent
        self._traced = False
        self._tunnel = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by the transport at each step, such as `http11.send_request_body.complete`."""
        self._traced = True
        if event.endswith(".send_request_body.started"):
            self._tunnel = info["request"].method == b"CONNECT"  # to a proxy: not our request yet
        elif event.endswith(".send_request_body.complete") and not self._tunnel:
            await self.departed()

    async def departed(self) -> None:
        """The body has left."""
        if not self.left:
            self.left = True
            if self._on_sent is not None:
                await self._on_sent()

    def may_have_arrived(self, error: Exception) -> bool:
        """Whether the vendor may hold the whole request. A transport that tells no steps gets the benefit of the doubt."""
        return self.left or not (self._traced or isinstance(error, _NEVER_LEFT))


class _Gathered(httpx.AsyncByteStream):
    """A body in large pieces: httpx hands every header and file of a multipart body to the socket by itself."""

    def __init__(self, body: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        assert isinstance(body, httpx.AsyncByteStream)  # noqa: S101 - what `build_request` makes is both
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held: list[bytes] = []
        size = 0
        async for part in self._body:
            held.append(part)
            size += len(part)
            if size >= _PIECE_BYTES:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)

    async def aclose(self) -> None:
        await self._body.aclose()


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
        self._clients: dict[bool, httpx.AsyncClient] = {}

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
        flight = Flight(on_sent)
        async with self._translated(flight, purpose, limit_s):
            request = self._client(charged=purpose is Purpose.SUBMIT).build_request(
                method,
                url if "://" in url else self._settings.base_url.rstrip("/") + url,
                json=json,
                files=files,
                content=content,
                params=params,
                headers={**(self._authorize() if authorized else {}), **(headers or {})},
                timeout=httpx.Timeout(limit_s, connect=min(self._settings.connect_timeout_s, limit_s)),
                extensions={"trace": flight.trace},
            )
            request.stream = _Gathered(request.stream)
            answer = await self._exchange(request, purpose)
        await flight.departed()  # an answer came before the last byte left, or the transport tells no steps
        error = self.interpreter.error_for(answer, purpose, now=self.clock())
        if error is not None:
            raise error
        return answer

    async def aclose(self) -> None:
        """Give back connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _exchange(self, request: httpx.Request, purpose: Purpose) -> Answer:
        response = await self._client(charged=purpose is Purpose.SUBMIT).send(request, stream=True)
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

    def _client(self, *, charged: bool) -> httpx.AsyncClient:
        if charged not in self._clients:
            keep = 0 if charged else 20
            self._clients[charged] = self._network.client(keep=keep, timeout_s=self._settings.request_timeout_s)
        return self._clients[charged]

    @asynccontextmanager
    async def _translated(self, flight: Flight, purpose: Purpose, limit_s: float) -> AsyncIterator[None]:
        """Transport failures become `ProviderError`s; the whole exchange is bounded by `limit_s`, however slowly bytes drip."""
        failure: Exception | None = None
        try:
            async with asyncio.timeout(limit_s):
                yield
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, TimeoutError, OSError) as error:
            failure = error
        if (
            failure is not None
        ):  # outside `except`: the request hangs on httpx's errors, key included, and must not ride along
            raise transport_error(self.interpreter.name, self.interpreter.redact, failure, flight, purpose)


def transport_error(name: str, redact: Redactor, failure: Exception, flight: Flight, purpose: Purpose) -> ProviderError:
    """What a broken exchange means: before the body left nothing happened, after it nobody knows."""
    if isinstance(failure, httpx.InvalidURL):
        return ProviderOffError(f"{name}: base_url is no address", code=ErrorCode.PROVIDER_ERROR)
    slow = isinstance(failure, TimeoutError | httpx.TimeoutException)
    what = "gave no answer in time" if slow else "broke the connection"
    why = f": {redact.excerpt(str(failure))}" if isinstance(failure, _TELLING) and str(failure) else ""
    if purpose is Purpose.SUBMIT and flight.may_have_arrived(failure):
        return InDoubtError(f"{name} {what} after the request had left ({type(failure).__name__})")
    if isinstance(failure, _NEVER_LEFT):
        what = "could not be reached"
    code = ErrorCode.PROVIDER_TIMEOUT if slow else ErrorCode.PROVIDER_UNAVAILABLE
    return TransientError(f"{name} {what} ({type(failure).__name__}{why})", code=code)
