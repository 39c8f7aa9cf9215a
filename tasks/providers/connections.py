"""httpx's transport over aiohttp's connections: the same requests and answers at a fifth of the CPU.

Everything above speaks httpx. `httpx-aiohttp` is not used, because it calls a connection that was lost after the request a
failed connect, and a request that may have been charged would be sent again.
"""

import ssl
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import httpx
import yarl

_KEEP_S: Final = 5.0  # an idle connection; servers close theirs soon after
_PIECE_BYTES: Final = 64 * 1024
_ADDED_BY_AIOHTTP: Final = ("user-agent", "accept", "accept-encoding", "content-type")
_BODILESS: Final = frozenset({"GET", "HEAD"})

_MEANING: Final[tuple[tuple[type[Exception], type[httpx.RequestError]], ...]] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientError, httpx.ReadError),
    (OSError, httpx.ReadError),
)
"""The first that fits. Only what happens before a connection stands may be called a failed connect."""


class Connections(httpx.AsyncBaseTransport):
    """Connections without a proxy, HTTP/1.1. Belongs to one event loop."""

    def __init__(self, *, verify: ssl.SSLContext, keep: bool) -> None:
        """`keep`: idle connections are used again, each for the same host name and address only."""
        self._verify = verify
        self._keep = keep
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange up to the answer's headers. Raises httpx's errors, without the request in them."""
        failure: httpx.RequestError | None = None
        try:
            response = await self._exchange(request)
        except (aiohttp.ClientError, OSError) as error:
            failure = _translated(error)
        if failure is not None:  # outside `except`: aiohttp's errors hold headers, the key among them
            raise failure
        return httpx.Response(
            response.status, headers=list(response.raw_headers), stream=_Body(response), request=request
        )

    async def aclose(self) -> None:
        """Close what is idle."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, request: httpx.Request) -> aiohttp.ClientResponse:
        limits: dict[str, Any] = request.extensions.get("timeout", {})
        return await self._opened().request(
            request.method,
            yarl.URL(str(request.url), encoded=True),  # a signed address must stay as it is, to the letter
            headers=request.headers.multi_items(),
            data=None if request.method in _BODILESS else request.stream,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=limits.get("connect"), sock_read=limits.get("read")),
            server_hostname=request.extensions.get("sni_hostname") if request.url.scheme == "https" else None,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            kept: dict[str, Any] = {"keepalive_timeout": _KEEP_S} if self._keep else {"force_close": True}
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._verify, **kept),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=_ADDED_BY_AIOHTTP,
            )
            # One layer retries, and it is the retry policy. There is no public switch; a test breaks connections.
            self._session._retry_connection = False
        return self._session


class _Body(httpx.AsyncByteStream):
    """An answer's bytes as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        failure: httpx.RequestError | None = None
        try:
            async for piece in self._response.content.iter_chunked(_PIECE_BYTES):
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            failure = _translated(error)
        if failure is not None:
            raise failure

    async def aclose(self) -> None:
        self._response.release()  # closes the connection where bytes are left on it


def _translated(error: Exception) -> httpx.RequestError:
    kind = next(meaning for kind, meaning in _MEANING if isinstance(error, kind))
    told = isinstance(error, aiohttp.ClientConnectorError)  # the others may quote what was sent or came
    return kind(str(error) if told else type(error).__name__)
