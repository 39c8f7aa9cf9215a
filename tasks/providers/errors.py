"""Errors of providers, named by what may be done next. No httpx type leaves `tasks/providers/`.

ProviderError
├── TransientError      not charged; the same request may be made again
│   └── RateLimitedError  … after `retry_after_s`; the whole account is asked to wait
├── OutOfCreditError    not charged; this provider is parked until credits come
├── ProviderOffError    wrong key, forbidden, no such model: this provider can serve nobody in this run
├── RejectedItemError   not charged; this provider will not take this item, another may
├── JobFailedError      the remote job ended badly; `charged` says whether it was paid
└── InDoubtError        cut off after the request left: may have been charged, must not be sent again
"""

from decimal import Decimal

from manifests.error_codes import ErrorCode

EXCERPT_CHARS = 300  # of a vendor's answer, enough to recognise it, too short to carry a page


class ProviderError(Exception):
    """A provider did not do it. `message` is for people and holds no secret."""

    default_code = ErrorCode.PROVIDER_ERROR

    def __init__(self, message: str, *, code: ErrorCode | None = None, remote_id: str | None = None) -> None:
        """`remote_id`: the provider's id of the job, where one was given."""
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.remote_id = remote_id


class TransientError(ProviderError):
    """It was not accepted and not charged; try again."""


class RateLimitedError(TransientError):
    """Too many requests, or no free queue slot."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """`retry_after_s`: as the provider stated it, in header or body; None when it did not."""
        super().__init__(message, code=ErrorCode.PROVIDER_UNAVAILABLE)
        self.retry_after_s = retry_after_s


class OutOfCreditError(ProviderError):
    """The account is empty (402, or what the vendor says instead)."""

    default_code = ErrorCode.OUT_OF_CREDITS


class ProviderOffError(ProviderError):
    """This provider can serve nobody until the configuration is mended."""

    default_code = ErrorCode.AUTHENTICATION


class RejectedItemError(ProviderError):
    """This provider refuses this item, uncharged."""

    default_code = ErrorCode.PROVIDER_REJECTED


class JobFailedError(ProviderError):
    """A job that had been accepted ended badly."""

    def __init__(
        self,
        message: str,
        *,
        charged_usd: Decimal | None = None,
        code: ErrorCode | None = None,
        remote_id: str | None = None,
    ) -> None:
        """`charged_usd`: None where the vendor does not say; then the price is taken as charged."""
        super().__init__(message, code=code, remote_id=remote_id)
        self.charged_usd = charged_usd


class InDoubtError(ProviderError):
    """What became of the request cannot be known."""

    default_code = ErrorCode.IN_DOUBT
