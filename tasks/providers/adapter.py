"""What the HTTP adapters have in common: their tools, the download, and honest answers for what a vendor does not offer."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Final, Generic, TypeVar

from manifests.error_codes import ErrorCode
from tasks.config.providers import ProviderSettings
from tasks.providers.base import Asset, Balance, Capabilities, EditRequest, EditResult, OnSent, Submission
from tasks.providers.download import Downloader
from tasks.providers.errors import JobFailedError, ProviderError, ProviderOffError, TransientError
from tasks.providers.keys import KeySource
from tasks.providers.statuses import Interpreter
from tasks.providers.transport import PictureTransport
from tasks.providers.wire import Wire

S = TypeVar("S", bound=ProviderSettings)
_STEM_CHARS: Final = 60


def file_stem(request: EditRequest) -> str:
    """What a picture's file is called at the vendor: by its item, for people, and its attempt, so that no two are alike."""
    item = re.sub(r"[^A-Za-z0-9._-]+", "_", request.item_id)[:_STEM_CHARS]
    return f"{item}-{hashlib.sha256(request.attempt_key.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kit(Generic[S]):
    """What an adapter is handed by the registry."""

    settings: S
    key: KeySource
    wire: Wire
    interpreter: Interpreter
    pictures: PictureTransport
    downloads: Downloader


class HttpAdapter(Generic[S]):
    """The part of `Provider` that is the same for every vendor."""

    key: ClassVar[str]
    capabilities: Capabilities

    def __init__(self, kit: Kit[S]) -> None:
        """`kit`: the tools, made by the registry."""
        self._kit = kit
        self._settings = kit.settings
        self._wire = kit.wire

    async def prepare(self, request: EditRequest) -> EditRequest:
        """Nothing to upload."""
        return request

    async def submit_batch(
        self,
        requests: Sequence[EditRequest],
        *,
        on_sent: OnSent,  # noqa: ARG002 - the protocol's name
    ) -> list[Submission | ProviderError]:
        """The vendor has no batch endpoint; `capabilities.batch_size` is 1."""
        raise ProviderOffError(
            f"{self.key} has no batch endpoint (asked for {len(requests)})", code=ErrorCode.INTERNAL_ERROR
        )

    async def poll(self, remote_id: str, request: EditRequest | None = None) -> Submission:  # noqa: ARG002 - see above
        """The vendor answers at once or never; `capabilities.pollable` is False."""
        raise ProviderOffError(f"{self.key} cannot be asked about {remote_id}", code=ErrorCode.INTERNAL_ERROR)

    async def find(self, attempt_key: str) -> Submission | None:
        """The vendor has no look-up; `capabilities.findable` is False."""
        raise ProviderOffError(f"{self.key} cannot look up {attempt_key}", code=ErrorCode.INTERNAL_ERROR)

    async def fetch_output(self, submission: Submission) -> bytes:
        """The picture's bytes, from the answer itself or from the address that it named."""
        result = submission.result
        if result is None:
            raise TransientError(f"{self.key}: the job is not finished", remote_id=submission.remote_id)
        if result.output is not None:
            return result.output
        try:
            return await self._download(result, submission)
        except JobFailedError as error:
            raise type(error)(
                error.message, charged_usd=result.cost_usd, code=error.code, remote_id=submission.remote_id
            ) from None

    async def balance(self) -> Balance | None:
        """The vendor has no such endpoint."""
        return None

    async def aclose(self) -> None:
        """Give back connections."""
        await self._wire.aclose()
        await self._kit.downloads.aclose()

    async def _download(self, result: EditResult, submission: Submission) -> bytes:  # noqa: ARG002 - for adapters that can renew
        return await self._kit.downloads.get(result.output_url or "")

    async def _with_addresses(self, request: EditRequest) -> EditRequest:
        """The request with an address for every picture of it that the vendor reads."""
        name = file_stem(request)
        image = await self._addressed(request.image, f"{name}{request.image.suffix}")
        mask = request.mask and await self._addressed(request.mask, f"{name}-mask{request.mask.suffix}")
        return replace(request, image=image, mask=mask)

    async def _addressed(self, asset: Asset, name: str) -> Asset:
        return replace(asset, url=await self._kit.pictures.address_of(asset) or await self._upload(asset, name))

    async def _upload(self, asset: Asset, name: str) -> str:  # noqa: ARG002 - for adapters that upload
        """The vendor's own upload under this file name; the address or reference that it gives."""
        raise ProviderOffError(f"{self.key} takes no uploads ({name}): set CLEANPLATE_STAGING_URI")

    def _failure(
        self,
        words: str,
        *,
        remote_id: str | None = None,
        charged_usd: Decimal | None = None,
        code: ErrorCode | None = None,
    ) -> JobFailedError:
        """A job that ended badly; what is not said about its charge, the settings say."""
        if charged_usd is None and self._settings.failures_charged is False:
            charged_usd = Decimal(0)
        said = f"{self.key}: {self._kit.interpreter.redact.excerpt(words)}"
        return JobFailedError(said, charged_usd=charged_usd, code=code, remote_id=remote_id)
