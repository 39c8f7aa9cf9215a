"""What keeps a provider that could take a row from taking it now: parked, down, out of credits, beyond budget or deadline."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from manifests.error_codes import ErrorCode
from tasks.routing.breaker import BreakerState
from tasks.routing.views import ProviderView
from tasks.routing.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """Why one provider does not take one row now."""

    provider: str
    code: ErrorCode
    message: str
    retry_at: float | None = None
    since: float | None = None  # seconds since the epoch; None: from now on


def obstacle(
    work: Work, view: ProviderView, *, now: float, budget_left: Decimal | None, deadline: float | None
) -> Obstacle | None:
    """What keeps a provider that could take this row from taking it now; None: nothing."""
    price = view.price(work.operation)
    parked = view.parked
    if parked is not None and (parked.until is None or parked.until > now):
        return Obstacle(provider=view.key, code=parked.code, message=parked.message, retry_at=parked.until)
    if view.breaker is not BreakerState.CLOSED and not view.probe_due:
        return _down(view, now)
    lacking = view.lacks(work.operation)
    if lacking is not None:
        pending = view.in_flight + view.waiting > 0  # what fails uncharged there gives its credits back
        at = now + max(1.0, view.single.latency_s) if pending else None
        return Obstacle(provider=view.key, code=ErrorCode.OUT_OF_CREDITS, message=lacking, retry_at=at)
    if budget_left is not None and price.usd > budget_left:
        message = f"costs ${price.usd}, ${budget_left} left of the budget"
        return Obstacle(provider=view.key, code=ErrorCode.BUDGET_REACHED, message=message)
    if deadline is not None and now + view.start_in_s(work) > deadline:
        message = "could not start before the deadline"
        return Obstacle(provider=view.key, code=ErrorCode.DEADLINE_REACHED, message=message)
    return None


def _down(view: ProviderView, now: float) -> Obstacle:
    """Its breaker is open, or its one probe is on the way: then ask again when that may be back."""
    at = view.breaker_retry_at if view.breaker is BreakerState.OPEN else now + max(1.0, view.single.latency_s)
    return Obstacle(
        provider=view.key,
        code=ErrorCode.PROVIDER_UNAVAILABLE,
        message="down" if at is None else f"down, asked again at {clock(at)}",
        retry_at=at,
        since=view.down_since,
    )


def clock(at: float) -> str:
    """A time for people: 14:05:09 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
