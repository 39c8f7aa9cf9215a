"""Providers and rows for the tests of routing: each call names only what its test is about."""

from decimal import Decimal
from typing import Any

from manifests.items import Operation
from tasks.config import RateLimit
from tasks.providers.base import Capabilities, Offer
from tasks.routing import EndpointView, Pace, Price, ProviderView, Waiting, Work

MASK = frozenset({"mask"})
REMOVAL = Operation.OBJECT_REMOVAL
REPLACE = Operation.BACKGROUND_REPLACE


def offering(*selectors: str, batch: bool = False, operation: Operation = REMOVAL) -> Offer:
    """An offer by any one of the selectors."""
    sets = tuple(frozenset({name}) for name in selectors)
    return Offer(operation=operation, selectors=sets, batch_selectors=sets if batch else ())


def provider(
    key: str = "maskr",
    *,
    usd: str = "0",
    price_credits: str = "0",
    limits: tuple[str, ...] = (),
    batch_limits: tuple[str, ...] | None = None,
    batch_size: int = 50,
    latency_s: float = 4.0,
    batch_latency_s: float = 30.0,
    offers: tuple[Offer, ...] | None = None,
    can: dict[str, Any] | None = None,
    **now: Any,
) -> ProviderView:
    """A provider that removes objects by mask; with `batch_limits` it has a batch endpoint too."""
    batched = batch_limits is not None
    capabilities = Capabilities(
        offers=offers or (offering("mask", batch=batched),), batch_size=batch_size if batched else 1, **(can or {})
    )
    price = Price(usd=Decimal(usd), credits=Decimal(price_credits))
    batch = None
    if batch_limits is not None:
        batch = EndpointView(pace=Pace.fresh(map(RateLimit.parse, batch_limits)), latency_s=batch_latency_s)
    return ProviderView(
        key=key,
        capabilities=capabilities,
        prices=dict.fromkeys(Operation, price),
        single=EndpointView(pace=Pace.fresh(map(RateLimit.parse, limits)), latency_s=latency_s),
        batch=batch,
        **now,
    )


def maskr(**now: Any) -> ProviderView:
    """The documented limits of seed 001: 60 single requests a minute and 30 batch requests of 50."""
    return provider("maskr", **({"limits": ("60/min",), "batch_limits": ("30/min",), "price_credits": "3"} | now))


def waiting(count: int, *, since: float = 0.0, **work: Any) -> list[Waiting]:
    """Rows in their order, named 0, 1 …"""
    return [Waiting(work=Work(item_id=str(n), **work), since=since) for n in range(count)]
