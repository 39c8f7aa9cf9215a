"""One provider's queue in the simulated driver, with all that the real one knows of its provider."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from manifests.error_codes import ErrorCode
from tasks.config import BreakerSettings, RateLimit
from tasks.routing import Breaker, Endpoint, EndpointView, Pace, Parked, Price, ProviderView, StartLog, Work
from tests.tasks.routing.simulation.vendors import Vendor

SMOOTHING = 0.02  # of the newest: the last fifty or so count


@dataclass(eq=False, kw_only=True)
class Entry:
    """A row on its way."""

    work: Work
    since: float = 0.0
    attempts_at: dict[str, int] = field(default_factory=dict)
    began: float | None = None


class Lane:
    """Where rows wait for one vendor."""

    def __init__(self, vendor: Vendor, settings: BreakerSettings) -> None:
        terms = vendor.terms
        self.vendor = vendor
        self.breaker = Breaker(settings)
        self.waiting: list[Entry] = []
        self.in_flight = 0
        self.parked: Parked | None = None
        self.last_success = -1.0
        self.hold_until = 0.0
        self.logs = {
            Endpoint.SINGLE: StartLog(map(RateLimit.parse, terms.limits)),
            Endpoint.BATCH: StartLog(map(RateLimit.parse, terms.batch_limits)),
        }
        self._latency_s = {Endpoint.SINGLE: terms.latency_s, Endpoint.BATCH: terms.batch_latency_s}
        self._failures = 0.0
        self._reserved = 0  # images under way
        self._spent = 0  # credits, of answered requests: the bill is the vendor's
        self._waking_at: float | None = None

    def view(self, now: float) -> ProviderView:
        """As routing sees it."""
        terms = self.vendor.terms
        left = None
        if terms.credits is not None:
            left = Decimal(terms.credits - self._spent - terms.credits_per_image * self._reserved)
        return ProviderView(
            key=terms.key,
            capabilities=terms.capabilities,
            prices={
                offer.operation: Price(usd=Decimal(terms.usd), credits=Decimal(terms.credits_per_image))
                for offer in terms.offers
            },
            credits_left=left,
            single=EndpointView(pace=self._pace(Endpoint.SINGLE, now), latency_s=self._latency_s[Endpoint.SINGLE]),
            batch=EndpointView(pace=self._pace(Endpoint.BATCH, now), latency_s=self._latency_s[Endpoint.BATCH])
            if terms.batch_size > 1
            else None,
            max_in_flight=terms.at_once,
            in_flight=self.in_flight,
            waiting=len(self.waiting),
            parked=self.parked,
            breaker=self.breaker.state(now),
            breaker_retry_at=self.breaker.retry_at(now),
            down_since=self.breaker.down_since,
            failure_share=self._failures,
        )

    def take(self, item_ids: Sequence[str]) -> list[Entry]:
        """Rows that leave."""
        chosen = set(item_ids)
        leaving = [entry for entry in self.waiting if entry.work.item_id in chosen]
        self.waiting = [entry for entry in self.waiting if entry.work.item_id not in chosen]
        return leaving

    def started(self, endpoint: Endpoint, rows: int, now: float) -> None:
        """A request left."""
        self.logs[endpoint].started(now)
        self.in_flight += 1
        self._reserved += rows

    def ended(
        self, endpoint: Endpoint, *, rows: int, paid: int, full: bool, took_s: float, failed: bool, now: float
    ) -> None:
        """It came back."""
        self.in_flight -= 1
        self._reserved -= rows
        self._spent += paid * self.vendor.terms.credits_per_image
        self._failures += SMOOTHING * (failed - self._failures)
        if not failed:
            self.last_success = now
            if full or endpoint is Endpoint.SINGLE:
                self._latency_s[endpoint] += SMOOTHING * (took_s - self._latency_s[endpoint])

    def out_of_credits(self) -> None:
        """Not asked any more."""
        self.parked = Parked(code=ErrorCode.OUT_OF_CREDITS, message="HTTP 402")

    def wakes(self, at: float, now: float) -> bool:
        """Whether a new alarm is needed for this time; one is enough."""
        if self._waking_at is not None and now < self._waking_at <= at:
            return False
        self._waking_at = at
        return True

    def _pace(self, endpoint: Endpoint, now: float) -> Pace:
        return self.logs[endpoint].pace(now, hold_until=self.hold_until)
