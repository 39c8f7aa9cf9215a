"""How the sandbox reads what a client names by address: http(s) or data:, within bounds of time and size."""

import asyncio
import base64
from functools import cached_property
from urllib.parse import unquote_to_bytes

import httpx


class FetchError(Exception):
    """It cannot be had; the message says why."""


class Fetcher:
    """One pool of connections for everything that is read from outside."""

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Made at first use: reading the certificates takes longer than everything else at the start."""
        return httpx.AsyncClient(follow_redirects=True, max_redirects=3, trust_env=False)

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float = 20) -> bytes:
        """The bytes behind an address. Raises FetchError."""
        if url.startswith("data:"):
            return _from_data_uri(url, max_bytes)
        if not url.startswith(("http://", "https://")):
            raise FetchError("the address must use HTTP(S) or be a data URI")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._download(url, max_bytes, timeout_s)
        except TimeoutError as error:
            raise FetchError(f"not read within {timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            raise FetchError(f"{type(error).__name__} while reading the address") from error

    async def _download(self, url: str, max_bytes: int, timeout_s: float) -> bytes:
        data = bytearray()
        async with self._client.stream("GET", url, timeout=timeout_s) as answer:
            if answer.status_code != httpx.codes.OK:
                raise FetchError(f"the address answered {answer.status_code}")
            async for chunk in answer.aiter_bytes():
                data += chunk
                if len(data) > max_bytes:
                    raise FetchError(f"more than {max_bytes} bytes")
        return bytes(data)

    async def post(self, url: str, body: bytes, headers: dict[str, str], *, timeout_s: float) -> int:
        """Deliver a callback; the status of the answer. Raises FetchError when there was none."""
        try:
            answer = await self._client.post(url, content=body, headers=headers, timeout=timeout_s)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            raise FetchError(type(error).__name__) from error
        return answer.status_code

    async def aclose(self) -> None:
        """Give back connections."""
        if "_client" in self.__dict__:
            await self._client.aclose()


def _from_data_uri(url: str, max_bytes: int) -> bytes:
    header, comma, payload = url.partition(",")
    if not comma:
        raise FetchError("a data URI without a comma")
    if len(payload) > max_bytes * 4:
        raise FetchError(f"more than {max_bytes} bytes")
    try:
        data = base64.b64decode(payload, validate=True) if header.endswith(";base64") else unquote_to_bytes(payload)
    except ValueError:
        raise FetchError("a data URI whose base64 is damaged") from None
    if len(data) > max_bytes:
        raise FetchError(f"more than {max_bytes} bytes")
    return data
