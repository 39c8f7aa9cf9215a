"""The final fact about an item: its state for control, its error code for people, its cost and where it lies."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from manifests.error_codes import ErrorCode


class State(StrEnum):
    """What became of an item. Drives control: `cleanplate retry` takes up all but SUCCEEDED, and IN_DOUBT only on request."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # tried, and it did not work out
    REJECTED = "rejected"  # the row itself is at fault; nothing was sent
    DEFERRED = "deferred"  # nobody could take it now: credits, budget, deadline, outage
    IN_DOUBT = "in_doubt"  # may have been charged; never sent again without the user's word


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Exactly one per item and run: the columns of the results manifest beyond the item's own (see `schemas.py`)."""

    item_id: str
    state: State
    error_code: ErrorCode | None = None
    error_message: str | None = None
    provider: str | None = None
    attempts: int = 0
    output_uri: str | None = None
    output_sha256: str | None = None  # hex
    width: int | None = None  # pixels
    height: int | None = None  # pixels
    content_key: str | None = None
    reused: bool = False
    credits: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)
    remote_id: str | None = None
    quality: dict[str, float] = field(default_factory=dict)  # metric name without "quality_" → value
    repairs: tuple[str, ...] = ()
    started_at: datetime | None = None  # UTC
    finished_at: datetime | None = None  # UTC

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from first touch to final fact; None when the item was never started."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds() * 1000)
