"""The ledger's nouns. Money is `Decimal`: `usd` in US dollars, `credits` in the provider's own unit. Times are UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tasks.config.limits import RateLimit
from tasks.config.providers import ProviderSettings


class Endpoint(StrEnum):
    """Which of a provider's doors a request goes through; each has its own rate limits."""

    SINGLE = "single"
    BATCH = "batch"


class AttemptState(StrEnum):
    """The life of an attempt. The first three are open: somebody answers for them."""

    RESERVED = "reserved"  # written ahead and permitted: from here on the request may have left
    SENT = "sent"  # the body left
    ACCEPTED = "accepted"  # the provider gave a remote id
    SETTLED = "settled"  # charged, and booked
    RELEASED = "released"  # not charged
    IN_DOUBT = "in_doubt"  # may have been charged: the money stays held


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountTerms:
    """What an account allows. Opening balances count once, when the account is first seen; None: unknown, and no limit."""

    limits: Sequence[RateLimit] = ()  # of single requests
    batch_limits: Sequence[RateLimit] = ()  # of batch requests
    account_limits: Sequence[RateLimit] = ()  # of both together
    max_in_flight: int | None = None  # requests under way at once, over all processes
    credits: Decimal | None = None
    usd: Decimal | None = None
    guard_s: float = 0.1  # added to each window, for the skew between leaving here and arriving there
    probe_after_s: float = 900  # a parked account is tried again by one request after this

    @classmethod
    def of(cls, settings: ProviderSettings) -> "AccountTerms":
        """As the configuration has them."""
        return cls(
            limits=tuple(settings.rate_limits()),
            batch_limits=tuple(settings.batch_rate_limits()),
            max_in_flight=settings.max_in_flight,
            credits=settings.credits,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptIntent:
    """One item to be sent to one provider, and the most that it may cost."""

    attempt_key: str  # the idempotency key; never used for two requests that may both be charged
    item_id: str
    content_key: str | None = None  # picture + mask + operation + parameters; None: never reused, never claimed
    credits: Decimal = Decimal(0)
    usd: Decimal = Decimal(0)
    megapixels: float = 0.0  # for limits in MP/min

    def __post_init__(self) -> None:
        """ValueError names what cannot be."""
        if not self.attempt_key:
            raise ValueError("attempt_key must not be empty")
        for name in ("credits", "usd"):
            amount: Decimal = getattr(self, name)
            if not amount.is_finite() or amount < 0:
                raise ValueError(f"attempt {self.attempt_key}: {name} must be 0 or more, not {amount}")
        if not 0 <= self.megapixels < float("inf"):
            raise ValueError(f"attempt {self.attempt_key}: megapixels must be 0 or more, not {self.megapixels}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """One request to be made: what it may cost and what it is for. All its attempts are granted, or none."""

    run_id: str
    provider: str
    attempts: Sequence[AttemptIntent]
    endpoint: Endpoint = Endpoint.SINGLE

    def __post_init__(self) -> None:
        """ValueError names what cannot be."""
        if not self.attempts:
            raise ValueError("a spend needs at least one attempt")
        if len({intent.attempt_key for intent in self.attempts}) != len(self.attempts):
            raise ValueError("a spend's attempt keys must differ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """What was really taken for one attempt."""

    credits: Decimal = Decimal(0)
    usd: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A finished picture, so that the same content is never paid again."""

    content_key: str
    output_uri: str  # where it lies for good; never a signed address
    sha256: str  # hex, of the file at output_uri
    width: int  # pixels
    height: int  # pixels
    media_type: str
    provider: str
    credits: Decimal = Decimal(0)  # what it cost when it was made
    usd: Decimal = Decimal(0)
    quality: Mapping[str, float] = field(default_factory=dict)  # metric name without "quality_" → value


class StoredDelivery(NamedTuple):
    """What is needed to deliver a picture again, as it stands in the books: cheap where there are millions."""

    content_key: str
    output_uri: str
    sha256: str
    width: int  # pixels
    height: int
    provider: str
    quality: str  # JSON


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAttempt:
    """An attempt whose end is not booked: what is known about it."""

    attempt_key: str
    run_id: str
    item_id: str
    provider: str
    endpoint: Endpoint
    state: AttemptState  # reserved and sent: may have left; accepted: poll remote_id; in_doubt
    content_key: str | None
    remote_id: str | None
    request_id: str | None
    credits: Decimal  # held
    usd: Decimal  # held
    reserved_at: datetime
    sent_at: datetime | None
    note: str | None = None
    send_again: bool = False  # in doubt, and the user allowed another paid request all the same


@dataclass(frozen=True, kw_only=True, slots=True)
class PastAttempt:
    """One attempt of some content, whatever became of it."""

    attempt_key: str
    content_key: str
    run_id: str
    item_id: str
    provider: str
    state: AttemptState
    remote_id: str | None
    request_id: str | None
    credits: Decimal  # charged when settled, held while open
    usd: Decimal
    reserved_at: datetime
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What a request would meet now: for routing and forecasts. Nothing is taken by looking."""

    provider: str
    endpoint: Endpoint
    next_start_at: datetime  # by the rate limits alone
    waiting: int  # requests of this process ahead in the queue
    in_flight: int  # requests, over all processes
    max_in_flight: int | None
    credits_available: Decimal | None  # None: unknown, and no limit
    usd_available: Decimal | None
    parked_reason: str | None
    parked_until: datetime | None  # when parked: the next moment at which a request may be made; None: not known
    starts_last_minute: int | None  # None where the endpoint has no rate limit, and starts are not kept
    mean_request_s: float | None  # from sent to settled, recent requests weigh most


@dataclass(frozen=True, kw_only=True, slots=True)
class FileVersion:
    """A remote file at one moment: `version` is its ETag, or size and mtime."""

    uri: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """One verified delivery from a provider, without the secrets of its addresses."""

    provider: str
    remote_id: str
    payload_json: str  # queries of URLs taken out
    received_at: datetime


class Resolution(StrEnum):
    """The user's word on an attempt in doubt."""

    CHARGED = "charged"  # book it; the same content is still not sent again
    NOT_CHARGED = "not_charged"  # give the money back; the content may be sent
    SEND_AGAIN = (
        "send_again"  # the content may be sent and paid again; this attempt's money stays held until it is known
    )
