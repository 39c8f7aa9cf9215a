"""Each provider as it stands now: what routing, packing and planning look at. Values; clocks are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from typing import Final

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.imaging import PreflightSettings
from tasks.config.providers import ProviderSettings
from tasks.config.routing import RoutingSettings
from tasks.providers.base import Capabilities
from tasks.routing.breaker import BreakerState
from tasks.routing.pace import Pace
from tasks.routing.work import Price, Work

_PREFLIGHT: Final = PreflightSettings()


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointView:
    """One endpoint: when requests may start, and how long one takes."""

    pace: Pace = field(default_factory=Pace)
    latency_s: float = 1.0  # from start to the finished result, one request


@dataclass(frozen=True, kw_only=True, slots=True)
class Parked:
    """Why a provider is not asked now; `until` None: not before somebody does something."""

    code: ErrorCode
    message: str
    until: float | None = None  # seconds since the epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderView:
    """One provider as it stands now."""

    key: str
    capabilities: Capabilities
    prices: Mapping[Operation, Price] = field(default_factory=dict)  # an operation not listed is free
    credits_left: Decimal | None = None  # reservations taken off; None: unknown, and no limit
    usd_left: Decimal | None = None  # of a prepaid account; likewise
    single: EndpointView = field(default_factory=EndpointView)
    batch: EndpointView | None = None
    max_in_flight: int | None = None  # requests under way at once, both endpoints together
    in_flight: int = 0  # requests under way
    waiting: int = 0  # rows routed here and not yet sent
    parked: Parked | None = None
    breaker: BreakerState = BreakerState.CLOSED
    breaker_retry_at: float | None = None  # seconds since the epoch
    down_since: float | None = None  # seconds since the epoch; None: not down
    min_scale: float = _PREFLIGHT.min_scale  # how far preflight may shrink a picture for it
    max_upscale: float = _PREFLIGHT.max_upscale  # … and enlarge one
    failure_share: float = 0.0  # of requests, as measured: each row costs 1/(1 - share) starts

    @property
    def local(self) -> bool:
        """No money, no network."""
        return self.capabilities.local

    @property
    def batch_size(self) -> int:
        """Most rows in one batch request; 1: no batch endpoint."""
        return self.capabilities.batch_size if self.batch else 1

    def price(self, operation: Operation) -> Price:
        """Of one image."""
        return self.prices.get(operation, Price())

    @property
    def probe_due(self) -> bool:
        """It is down, and one row should go there to see whether it is back."""
        return self.breaker is BreakerState.HALF_OPEN and self.breaker_retry_at is None and self.waiting == 0

    def lacks(self, operation: Operation) -> str | None:
        """What the account has too little of for one more image behind those that wait here already; None: nothing."""
        price = self.price(operation)
        for left, each, unit in (
            (self.credits_left, price.credits, " credits"),
            (self.usd_left, price.usd, " US dollars"),
        ):
            if left is not None and left - self.waiting * each < each:
                return f"{max(left - self.waiting * each, Decimal(0))}{unit} left, {each} needed"
        return None

    def batch_group(self, work: Work) -> frozenset[str] | None:
        """The selectors under which this row can share a batch with its like; None: it goes alone."""
        offer = self.capabilities.offer(work.operation, work.selectors)
        if offer is None or self.batch_size < 2:
            return None
        return next((need for need in offer.batch_selectors if need <= work.selectors), None)

    def start_in_s(self, work: Work) -> float:
        """Seconds until one more row could leave, behind those that wait already."""
        return min(start_s for start_s, _ in self._ways(work))

    def finish_in_s(self, work: Work) -> float:
        """Seconds until one more row would be done, by the quicker endpoint."""
        return min(start_s + latency_s for start_s, latency_s in self._ways(work))

    @property
    def rows_per_s(self) -> float:
        """The sustained rate over both endpoints, rows a second; inf where nothing limits it."""
        both = self.single.pace.per_second
        if self.batch is not None:
            both += self.batch.pace.per_second * self.batch_size
        if self.max_in_flight is None:
            return both
        places = self.max_in_flight
        best = places / self.single.latency_s if self.single.latency_s > 0 else inf
        if self.batch is not None and self.batch.latency_s > 0:
            best = max(best, places * self.batch_size / self.batch.latency_s)
        return min(both, best)

    def _ways(self, work: Work) -> list[tuple[float, float]]:
        """Start and latency by each endpoint that takes this row, seconds."""
        ways = [self._way(self.single, self.waiting)]
        if self.batch is not None and self.batch_group(work) is not None:
            ways.append(self._way(self.batch, self.waiting // self.batch_size))
        return ways

    def _way(self, endpoint: EndpointView, ahead: int) -> tuple[float, float]:
        pace = endpoint.pace.within(at_once=self.max_in_flight, in_flight=self.in_flight, latency_s=endpoint.latency_s)
        return pace.start_in_s(ahead), endpoint.latency_s


def view_of(
    key: str,
    capabilities: Capabilities,
    settings: ProviderSettings,
    routing: RoutingSettings,
    *,
    preflight: PreflightSettings = _PREFLIGHT,
    credits_left: Decimal | None = None,
    usd_left: Decimal | None = None,
    at_once: int | None = None,
    parked: Parked | None = None,
) -> ProviderView:
    """A provider before anything was sent in this run: limits and prices from settings, latencies as typical.

    Args:
        key: the provider's.
        capabilities: its adapter's.
        settings: its limits and prices.
        routing: what is typical.
        preflight: how far pictures may be scaled.
        credits_left: the ledger's balance; None: what the settings say, if anything.
        usd_left: the same of a prepaid account; None: unknown, and no limit.
        at_once: the most requests that this run has under way (rows in flight, or cores for the local engine), for a
            provider that states no such limit.
        parked: as the ledger says.
    """
    megapixels = float(routing.typical_megapixels)
    batch = None
    if capabilities.batch_size > 1:
        pace = Pace.fresh(settings.batch_rate_limits(), megapixels=megapixels * capabilities.batch_size)
        batch = EndpointView(pace=pace, latency_s=routing.typical_batch_s.get(key, 30.0))
    return ProviderView(
        key=key,
        capabilities=capabilities,
        prices={
            operation: Price(usd=settings.cost_usd(operation), credits=settings.credits_per_image)
            for operation in Operation
        },
        credits_left=settings.credits if credits_left is None else credits_left,
        usd_left=usd_left,
        single=EndpointView(
            pace=Pace.fresh(settings.rate_limits(), megapixels=megapixels),
            latency_s=routing.typical_s.get(key, 10.0),
        ),
        batch=batch,
        max_in_flight=at_once if settings.max_in_flight is None else settings.max_in_flight,
        parked=parked,
        min_scale=preflight.min_scale,
        max_upscale=preflight.max_upscale,
    )
