"""Vendors in plain numbers and the linear programme over them, written apart from the planner: what it is measured against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from scipy.optimize import linprog

from tasks.routing import ProviderView
from tests.tasks.routing.factories import offering, provider


@dataclass(frozen=True)
class Vendor:
    """A provider in plain numbers; prices in cents."""

    cents: int
    limits: tuple[tuple[int, int], ...]  # (amount, period in seconds)
    latency_s: int
    batch: tuple[int, int, int, int] | None = None  # amount, period, size, latency
    rows_paid_for: int | None = None  # by its credits, one a row
    takes: tuple[str, ...] = ("mask",)

    def view(self, key: str) -> ProviderView:
        view = provider(
            key,
            usd=str(Decimal(self.cents) / 100),
            price_credits="1",
            limits=tuple(f"{amount}/{period}s" for amount, period in self.limits),
            latency_s=self.latency_s,
            batch_limits=(f"{self.batch[0]}/{self.batch[1]}s",) if self.batch else None,
            batch_size=self.batch[2] if self.batch else 1,
            batch_latency_s=self.batch[3] if self.batch else 0,
            offers=(offering(*self.takes, batch=self.batch is not None),),
        )
        return replace(view, credits_left=None if self.rows_paid_for is None else Decimal(self.rows_paid_for))

    def single_starts(self, within_s: float, most: int) -> int:
        """How many starts the windows allow by the definition alone."""
        return starts_within([*self.limits], within_s - self.latency_s, most)

    def batch_starts(self, within_s: float, most: int) -> int:
        if self.batch is None:
            return 0
        return starts_within([self.batch[:2]], within_s - self.batch[3], most)


def starts_within(limits: list[tuple[int, int]], within_s: float, most: int) -> int:
    starts: list[float] = []
    while len(starts) < most:
        at = max([0.0, *(starts[-amount] + period for amount, period in limits if len(starts) >= amount)])
        if at > within_s:
            break
        starts.append(at)
    return len(starts)


def relaxed(vendors: Sequence[Vendor], counts: Mapping[str, int], deadline_s: float) -> float:
    """Cents of the linear relaxation, written out anew: no plan of whole rows costs less. inf: not feasible."""
    kinds, rows = list(counts), sum(counts.values())
    columns = [(v, k, e) for v in range(len(vendors)) for k in kinds if k in vendors[v].takes for e in ("one", "many")]
    cost = [vendors[v].cents for v, _, _ in columns]
    limits, most = [], []
    for number, vendor in enumerate(vendors):
        limits.append([float(v == number and e == "one") for v, _, e in columns])
        most.append(vendor.single_starts(deadline_s, rows))
        limits.append([float(v == number and e == "many") for v, _, e in columns])
        most.append(vendor.batch_starts(deadline_s, rows) * (vendor.batch[2] if vendor.batch else 0))
        limits.append([float(v == number) for v, _, _ in columns])
        most.append(rows if vendor.rows_paid_for is None else vendor.rows_paid_for)
    whole = [[float(k == kind) for _, k, _ in columns] for kind in kinds]
    found = linprog(cost, A_ub=np.array(limits), b_ub=most, A_eq=np.array(whole), b_eq=[counts[k] for k in kinds])
    return float(found.fun) if found.status == 0 else float("inf")
