"""Fetching finished pictures, and telling pictures from the pages that come when an address is over."""

import base64
import binascii
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.providers.errors import JobFailedError, ProviderError, ProviderOffError, TransientError
from tasks.providers.guarded import ExchangeError, GuardedClient, Reply
from tasks.providers.redact import Redactor

_EXPIRED: Final = (400, 401, 403, 410)  # a signed address that is over, or was spoilt; 400 is what some S3 servers say
_MARKUP: Final = (b"<", b"{", b"[")
_PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"II*\x00", b"MM\x00*", b"BM")


class DownloadExpiredError(JobFailedError):
    """The address is not valid any more; a fresh one may be had from the provider."""


class Downloader:
    """Fetches one provider's results, and puts files where it asks for them."""

    def __init__(self, *, name: str, client: GuardedClient, redact: Redactor) -> None:
        """`name` opens every message."""
        self._name = name
        self._client = client
        self._redact = redact

    async def get(self, url: str) -> bytes:
        """The bytes of a finished picture.

        Raises:
            TransientError: it may work when tried again.
            DownloadExpiredError: the address is over.
            JobFailedError: it never will.
        """
        try:
            reply = await self._client.get(url)
        except ExchangeError as error:
            said, again = f"{self._name}: the result could not be downloaded: {error}", error.again
        else:
            if reply.status != 200:
                raise self._refused(reply)
            return self._picture(reply.body)
        kind = TransientError if again else JobFailedError
        raise kind(said, code=ErrorCode.DOWNLOAD_FAILED)

    async def put(self, url: str, body: bytes, media_type: str) -> None:
        """Upload to an address that the vendor signed, before any charge.

        Raises:
            TransientError: it may work when tried again, with a fresh address.
            ProviderOffError: the vendor named an address that is refused.
        """
        try:
            reply = await self._client.put(url, body, media_type)
        except ExchangeError as error:
            said, again = f"{self._name}: the upload did not get through: {error}", error.again
        else:
            if 200 <= reply.status < 300:
                return
            page = self._redact.excerpt(reply.body)
            said, again = f"{self._name}: the upload's address answered HTTP {reply.status}: {page}", True
        raise TransientError(said) if again else ProviderOffError(said, code=ErrorCode.PROVIDER_ERROR)

    async def aclose(self) -> None:
        """Give back connections."""
        await self._client.aclose()

    def _picture(self, body: bytes) -> bytes:
        """The bytes as they are, or out of base64 text; a page instead of a picture is an error."""
        if is_picture(body):
            return body
        start = body[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
        if not start or start.startswith(_MARKUP):
            page = self._redact.excerpt(body)
            raise TransientError(
                f"{self._name}: a page came instead of the picture: {page}", code=ErrorCode.DOWNLOAD_FAILED
            )
        return from_base64(body) or body

    def _refused(self, reply: Reply) -> ProviderError:
        said = f"{self._name}: the result's address answered HTTP {reply.status}: {self._redact.excerpt(reply.body)}"
        kind = DownloadExpiredError if reply.status in _EXPIRED else TransientError
        return kind(said, code=ErrorCode.DOWNLOAD_FAILED)


def is_picture(body: bytes) -> bool:
    """Whether the first bytes are those of a picture format."""
    return body.startswith(_PICTURES) or body[4:8] == b"ftyp"  # AVIF, HEIF


def from_base64(text: bytes | str) -> bytes | None:
    """The picture in base64 text or a data: URI; None when it is neither."""
    raw = text.encode("ascii", "replace") if isinstance(text, str) else text
    if raw.lstrip().startswith(b"data:"):
        raw = raw.partition(b",")[2]
    try:
        decoded = base64.b64decode(b"".join(raw.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if is_picture(decoded) else None
