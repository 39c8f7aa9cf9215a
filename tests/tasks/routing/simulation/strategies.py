"""Who gets the next row: our course, and what others do instead."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from random import Random
from typing import Protocol

from tasks.routing import Course, NoRoute, PolicyName, ProviderView, RoutingPolicy, Work, route
from tasks.routing.fit import misfit
from tasks.routing.route import obstacle


class Strategy(Protocol):
    """Chooses a provider for one row, as `route` does."""

    def choose(self, work: Work, views: Sequence[ProviderView], now: float, deadline: float | None) -> str | NoRoute:
        """A provider's key, or why there is none."""
        ...

    def taken(self, work: Work, provider: str) -> None:
        """The row went there."""
        ...

    def returned(self, work: Work, provider: str) -> None:
        """It came back undone."""
        ...


class Planned:
    """Ours."""

    def __init__(self, course: Course, *, deadline: float | None = None) -> None:
        self.course = course
        self._deadline = deadline

    def choose(self, work: Work, views: Sequence[ProviderView], now: float, deadline: float | None) -> str | NoRoute:
        found = route(work, views, self.course.policy(views, now=now), now=now, deadline=deadline)
        return found if isinstance(found, NoRoute) else found.provider

    def taken(self, work: Work, provider: str) -> None:
        self.course.taken(work, provider)

    def returned(self, work: Work, provider: str) -> None:
        self.course.returned(work, provider)


class _Bystander:
    """Among those that can take the row now, by some rule that looks no further than this row."""

    def choose(self, work: Work, views: Sequence[ProviderView], now: float, deadline: float | None) -> str | NoRoute:
        able = [
            view
            for view in views
            if misfit(work, view) is None
            and view.key not in work.excluded
            and obstacle(work, view, now=now, budget_left=None, deadline=deadline) is None
        ]
        if not able:
            found = route(work, views, RoutingPolicy(name=PolicyName.ORDERED), now=now, deadline=deadline)
            return found if isinstance(found, NoRoute) else found.provider
        return self.pick(able, work)

    def pick(self, able: Sequence[ProviderView], work: Work) -> str:
        raise NotImplementedError

    def taken(self, work: Work, provider: str) -> None:
        """It does not look back."""

    def returned(self, work: Work, provider: str) -> None:
        """It does not look back."""


class CheapestFirst(_Bystander):
    """The least price, however long the queue."""

    def pick(self, able: Sequence[ProviderView], work: Work) -> str:
        return min(able, key=lambda view: _price(work, view)).key


class CheapestFree(_Bystander):
    """The least price among those that could start at once, as a router with rate limits does; else the soonest."""

    def pick(self, able: Sequence[ProviderView], work: Work) -> str:
        free = [view for view in able if view.start_in_s(work) <= 0.001]
        if free:
            return min(free, key=lambda view: _price(work, view)).key
        return min(able, key=lambda view: view.start_in_s(work)).key


class RoundRobin(_Bystander):
    """Each in turn."""

    def __init__(self) -> None:
        self._turns = count()

    def pick(self, able: Sequence[ProviderView], _work: Work) -> str:
        return able[next(self._turns) % len(able)].key


class Shuffled(_Bystander):
    """Any."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def pick(self, able: Sequence[ProviderView], _work: Work) -> str:
        return self._rng.choice(able).key


def _price(work: Work, view: ProviderView) -> tuple[Decimal, Decimal]:
    price = view.price(work.operation)
    return price.usd, price.credits
