"""How to choose among the providers that can take a row now: cheapest, fastest, ordered; a plan's shares on top."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tasks.routing.fit import too_large
from tasks.routing.shares import Shares
from tasks.routing.views import ProviderView
from tasks.routing.work import Work


class PolicyName(StrEnum):
    """As in `CleanupConfig.policy`. A pinned row overrides each of them."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    ORDERED = "ordered"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingPolicy:
    """The user's wish, and the plan that carries it out.

    Greedy choice is right where rates do not bind. Where they do, `shares` (from `Plan.shares()`) says what part of
    each kind of rows belongs to whom; without shares the choice is greedy. And where the plan counts on a provider that
    is down, its rows wait for it `patience_s` at most before a dearer one takes them; with `fastest` they do not wait.
    """

    name: PolicyName = PolicyName.CHEAPEST
    shares: Shares | None = None
    patience_s: float = 120.0
    lookahead_s: float | None = None  # rows that could not start within this are not bound yet; None: all are

    def counts_on(self, work: Work, key: str) -> bool:
        """Whether rows of this kind are still to go there by the plan."""
        return self.shares is not None and self.shares.left(work, key) > 0

    def reason(self, work: Work, view: ProviderView) -> str:
        """One or two words for the table of routing decisions."""
        planned = self.shares is not None and self.shares.knows(work, view.key)
        return f"{self.name}, planned" if planned else str(self.name)


def rank(work: Work, views: Sequence[ProviderView], policy: RoutingPolicy) -> list[ProviderView]:
    """The providers in the policy's order, best first: the first takes the row, the others are its fallbacks."""
    order = {view.key: place for place, view in enumerate(views)}
    ranked = sorted(views, key=lambda view: _weight(work, view, policy.name, order[view.key]))
    if policy.shares is None:
        return ranked
    return policy.shares.rank(work, ranked)


def _weight(work: Work, view: ProviderView, name: PolicyName, place: int) -> tuple[Any, ...]:
    """Smaller is better. Ties go to whole pictures before cropped ones, then to the sooner, then to the user's order."""
    price = view.price(work.operation)
    finish_s = view.finish_in_s(work)
    match name:
        case PolicyName.ORDERED:
            return (place,)
        case PolicyName.FASTEST:
            return (finish_s, price.usd, price.credits, too_large(work, view), place)
        case PolicyName.CHEAPEST:
            return (price.usd, price.credits, too_large(work, view), finish_s, place)
