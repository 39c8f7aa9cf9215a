"""How a picture reaches a vendor that reads by URL, decided once for all of them.

1. A file that lies unchanged at a public https address: that address is passed on.
2. A file that lies unchanged on S3: its address is signed for `s3.presign_expiry_s`.
3. Anything else, repaired pictures included: put into `staging_uri`, if there is one.
4. None of these: the adapter uses the vendor's own upload.
"""

import asyncio
from typing import Final

import httpx

from tasks.providers.addresses import AddressGuard
from tasks.providers.base import Asset
from tasks.providers.staging import Buckets, Stage

_KNOWN_HOSTS: Final = 1024
_SIGN_TIMEOUT_S: Final = 30


class PictureTransport:
    """Finds or makes the address of a picture."""

    def __init__(self, *, guard: AddressGuard, buckets: Buckets, stage: Stage | None) -> None:
        """`stage`: None where the installation has no `staging_uri`."""
        self.stage = stage
        self._guard = guard
        self._buckets = buckets
        self._public: dict[str, bool] = {}  # host → whether a vendor can be expected to read from it

    async def address_of(self, asset: Asset) -> str | None:
        """An address from which the vendor can read the picture; None: there is none, upload it."""
        source = asset.source_uri or ""
        if source.startswith(("https://", "http://")) and await self._is_public(source):
            return source
        if source.startswith("s3://") and (signed := await self._signed(source)):
            return signed
        if self.stage is not None:
            return await self.stage.put(asset.data, asset.suffix, asset.media_type)
        return None

    async def _signed(self, uri: str) -> str | None:
        try:
            async with asyncio.timeout(_SIGN_TIMEOUT_S):
                signed = await asyncio.to_thread(self._buckets.presigned, uri)
        except Exception:  # noqa: BLE001 - no credentials, no such method, …: staging or upload is next, and says what fails
            return None
        return signed if await self._is_public(signed) else None

    async def _is_public(self, url: str) -> bool:
        try:
            origin = httpx.URL(url).copy_with(path="/", query=None, fragment=None)
        except httpx.InvalidURL:
            return False
        known = str(origin)
        if known not in self._public:
            if len(self._public) >= _KNOWN_HOSTS:
                self._public.clear()
            self._public[known] = await self._guard.is_public_url(known)
        return self._public[known]
