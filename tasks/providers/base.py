"""What an adapter is: it translates one edit to a vendor's wire and back. It does not retry, wait or spend.

The driver's order of calls, for one item: `prepare` (uploads, no charge) → `submit` (the one charged request) → while the
submission has no result `poll` → `fetch_output`. For a batch: `prepare` each → `submit_batch` → `fetch_output` each.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Final, Protocol

from manifests.items import Operation
from tasks.providers.errors import ProviderError

OnSent = Callable[[], Awaitable[None]]
"""Called once, when the body of the charged request has left this machine."""

_SUFFIXES: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/x-portable-anymap": ".pnm",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One file to be sent: its bytes, and where it can be read if it is unchanged."""

    data: bytes = field(repr=False)
    media_type: str  # image/jpeg, image/png, image/webp; for the local engine also image/x-portable-anymap
    width: int  # pixels, as stored in `data`
    height: int  # pixels
    source_uri: str | None = None  # set only when `data` is byte for byte what lies there
    url: str | None = field(
        default=None, repr=False
    )  # set by `prepare` for vendors that read by URL; may be signed, so never logged

    @property
    def suffix(self) -> str:
        """File name suffix with its dot."""
        return _SUFFIXES[self.media_type]


@dataclass(frozen=True, kw_only=True, slots=True)
class EditRequest:
    """One edit, ready to be sent. Coordinates are pixels of `image` as sent. The mask is 8-bit grey, 0 or 255, white = edit."""

    attempt_key: str  # ours, unique to this attempt group; sent as idempotency key and client reference
    item_id: str
    operation: Operation
    image: Asset
    mask: Asset | None = None
    points: tuple[tuple[int, int], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[int, int, int, int] | None = None
    object_name: str | None = None
    reference: Asset | None = None
    prompt: str | None = None
    callback_url: str | None = field(default=None, repr=False)  # holds a token where the vendor signs nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class EditResult:
    """What a provider returned for one item. Exactly one of `output` and `output_url` is set."""

    output: bytes | None = field(default=None, repr=False)
    output_url: str | None = field(default=None, repr=False)  # signed: download at once, never log
    credits: Decimal | None = None  # charged, as the provider states it; None: it does not say
    cost_usd: Decimal | None = None  # charged, as the provider states it; None: it does not say
    nsfw: bool | None = None
    request_id: str | None = None  # the vendor's correlation id


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """The provider took it: finished when `result` is set, else to be polled under `remote_id`."""

    remote_id: str | None
    result: EditResult | None = None
    poll_after_s: float | None = None  # the provider's own estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """What the account holds, as the provider says. None: it speaks of the other unit."""

    credits: Decimal | None = None
    usd: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What a provider does for one operation: data for routing and preflight."""

    operation: Operation
    selectors: tuple[
        frozenset[str], ...
    ]  # each a sufficient set of Item.selectors, such as {"mask"} or {"mask", "reference"}
    batch_selectors: tuple[frozenset[str], ...] = ()  # those that the batch endpoint takes


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a provider can take: data, so that preflight and routing need not ask."""

    offers: tuple[Offer, ...]
    media_types: frozenset[str] = frozenset({"image/jpeg", "image/png", "image/webp"})
    max_image_bytes: int | None = None
    max_image_pixels: int | None = None
    max_side: int | None = None  # pixels
    min_side: int | None = None  # pixels
    batch_size: int = 1  # most items in one batch request; 1: no batch endpoint
    pollable: bool = False  # a job can be asked for by its remote id, also after a restart
    replayable: bool = False  # the same attempt_key again is surely not charged again
    findable: bool = False  # `find` can tell what became of a lost request
    local: bool = False  # no money, no network

    def offer(self, operation: Operation, selectors: frozenset[str]) -> Offer | None:
        """The offer that serves an item with these selectors, or None."""
        fitting = (
            o for o in self.offers if o.operation is operation and any(need <= selectors for need in o.selectors)
        )
        return next(fitting, None)


class Provider(Protocol):
    """One adapter. Every method raises only `ProviderError`s."""

    key: ClassVar[str]
    capabilities: Capabilities

    async def prepare(self, request: EditRequest) -> EditRequest:
        """Upload or host what the vendor reads by URL; the request comes back with the URLs set. Never charged."""
        ...

    async def submit(self, request: EditRequest, *, on_sent: OnSent) -> Submission:
        """The one charged request."""
        ...

    async def submit_batch(
        self, requests: Sequence[EditRequest], *, on_sent: OnSent
    ) -> list[Submission | ProviderError]:
        """One charged request for all; an answer each, in order. Raises when the batch failed whole."""
        ...

    async def poll(self, remote_id: str, request: EditRequest | None = None) -> Submission:
        """How the job stands. `request` is None after a restart."""
        ...

    async def find(self, attempt_key: str) -> Submission | None:
        """Look up a request whose answer was lost; None: the provider surely never took it. Only where `findable`."""
        ...

    async def fetch_output(self, submission: Submission) -> bytes:
        """The finished picture's bytes, bounded in size and time, without the API key."""
        ...

    async def balance(self) -> Balance | None:
        """What the account holds; None where the vendor has no such endpoint."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
