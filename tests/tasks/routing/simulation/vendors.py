"""Virtual vendors: they enforce their limits, keep their bill, fail and die as told. They share no code with routing."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from manifests.items import Operation
from tasks.config import RateLimit
from tasks.providers.base import Capabilities, Offer
from tasks.providers.errors import OutOfCreditError, ProviderError, RateLimitedError, RejectedItemError, TransientError
from tasks.routing import Endpoint, Work

ANSWERS_BADLY_S = 0.5  # until a refusal or an error comes back


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a vendor offers, as its documents say, and how it behaves."""

    key: str
    usd: str = "0"  # per image
    credits_per_image: int = 0
    credits: int | None = None
    offers: tuple[Offer, ...] = (Offer(operation=Operation.OBJECT_REMOVAL, selectors=(frozenset({"mask"}),)),)
    limits: tuple[str, ...] = ()
    batch_limits: tuple[str, ...] = ()
    batch_size: int = 1
    at_once: int | None = None
    latency_s: float = 5.0
    batch_latency_s: float = 30.0
    accepts_s: float | None = None  # it says at once that it took the job; None: it answers with the result
    spread: float = 0.2  # latencies are uniform within ± this share
    bad_rows: float = 0.0  # share of requests of which one row fails, uncharged, and may be tried again
    broken_requests: float = 0.0  # share of requests that fail whole, uncharged
    refused: frozenset[str] = frozenset()  # item ids that it will never take: a batch with one is refused whole
    outages: tuple[tuple[float, float], ...] = ()  # from, to: every request fails

    @property
    def capabilities(self) -> Capabilities:
        """As the adapter would say."""
        return Capabilities(offers=self.offers, batch_size=self.batch_size)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What comes back, and when: an error for all, or one or none for each row."""

    at: float
    whole: ProviderError | None = None
    rows: Sequence[ProviderError | None] = ()


@dataclass(kw_only=True)
class Vendor:
    """One account, with its bill."""

    terms: Terms
    rng: Random
    usd: Decimal = Decimal(0)
    credits: int = 0
    images: int = 0
    calls: int = 0
    too_many: int = 0  # calls beyond a limit
    while_down: list[float] = field(default_factory=list)  # when calls came that an outage wasted
    _starts: dict[Endpoint, deque[float]] = field(default_factory=lambda: {one: deque() for one in Endpoint})
    _busy_until: list[float] = field(default_factory=list)

    def call(self, work: Sequence[Work], endpoint: Endpoint, now: float) -> Answer:
        """One request."""
        self.calls += 1
        error = self._refusal(work, endpoint, now)
        self._starts[endpoint].append(now)
        if error is not None:
            return Answer(at=now + ANSWERS_BADLY_S, whole=error)
        typical_s = self._typical_s(endpoint, len(work))
        at = now + typical_s * self.rng.uniform(1 - self.terms.spread, 1 + self.terms.spread)
        self._busy_until.append(at)
        rows: list[ProviderError | None] = [None] * len(work)
        if self.rng.random() < self.terms.bad_rows:
            rows[self.rng.randrange(len(work))] = TransientError("this one failed")
        self._charge(sum(error is None for error in rows))
        return Answer(at=at, rows=rows)

    def _typical_s(self, endpoint: Endpoint, rows: int) -> float:
        terms = self.terms
        if endpoint is Endpoint.SINGLE:
            return terms.latency_s
        full = max(1, terms.batch_size - 1)
        return terms.latency_s + (terms.batch_latency_s - terms.latency_s) * (rows - 1) / full

    def _refusal(self, work: Sequence[Work], endpoint: Endpoint, now: float) -> ProviderError | None:
        terms = self.terms
        if any(start <= now < end for start, end in terms.outages):
            self.while_down.append(now)
            return TransientError("HTTP 503")
        if self._beyond_limit(endpoint, now):
            self.too_many += 1
            return RateLimitedError("HTTP 429", retry_after_s=5)
        if any(one.item_id in terms.refused for one in work):
            return RejectedItemError("HTTP 422")
        if terms.credits is not None and self.credits + terms.credits_per_image * len(work) > terms.credits:
            return OutOfCreditError("HTTP 402")
        if self.rng.random() < terms.broken_requests:
            return TransientError("HTTP 503")
        return None

    def _beyond_limit(self, endpoint: Endpoint, now: float) -> bool:
        texts = self.terms.limits if endpoint is Endpoint.SINGLE else self.terms.batch_limits
        for limit in map(RateLimit.parse, texts):
            recent = sum(start > now - limit.period_s + 1e-6 for start in self._starts[endpoint])
            if recent >= limit.amount:
                return True
        self._busy_until = [at for at in self._busy_until if at > now + 1e-9]
        return self.terms.at_once is not None and len(self._busy_until) >= self.terms.at_once

    def _charge(self, images: int) -> None:
        self.images += images
        self.usd += images * Decimal(self.terms.usd)
        self.credits += images * self.terms.credits_per_image
