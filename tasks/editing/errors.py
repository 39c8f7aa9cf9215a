"""Why an item's work ended without a delivered picture: the reasons that are not one request's."""

from manifests.error_codes import ErrorCode
from tasks.providers.errors import ProviderError


class StoppedError(Exception):
    """The run takes up nothing new: it was interrupted, or its deadline has come."""

    def __init__(self, code: ErrorCode) -> None:
        """`code`: INTERRUPTED or DEADLINE_REACHED."""
        super().__init__(code.advice)
        self.code = code


class DeferredError(Exception):
    """Nobody, or not this provider, can take the item now; nothing was sent."""

    def __init__(self, code: ErrorCode, message: str, *, until: float | None = None) -> None:
        """`until`: when to ask again, where that is known, seconds since the epoch."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.until = until


class GaveUpError(Exception):
    """A request with several rows failed as often as the policy allows: each row is to be asked elsewhere."""

    def __init__(self, error: ProviderError) -> None:
        """`error`: the last one."""
        super().__init__(error.message)
        self.error = error


class RefusedResultError(Exception):
    """The quality gate refused what a provider returned; it is paid and booked."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
