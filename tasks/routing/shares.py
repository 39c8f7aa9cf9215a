"""How many rows of each kind belong to which provider: the plan, as online routing follows it.

Rows are given out in proportion from the first on, so several processes on one run, each by itself, keep to the plan
together; and no process gives a provider more than its number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from tasks.routing.views import ProviderView
from tasks.routing.work import Work

SLACK_ROWS: Final = 25
"""Rows that an idle provider may be ahead of its part while others are busy: half a batch. With none, a provider with
free tickets would stand still until the slowest has caught up."""

_NONE: Final[Counter[str]] = Counter()


class Shares:
    """The plan's numbers, and what has been given out so far. One process's own; not thread-safe."""

    def __init__(self, quotas: Mapping[Work, Mapping[str, int]]) -> None:
        """`quotas`: by kind of work (`Work.kind`), the rows that each provider is to take."""
        self._quotas = {kind: {key: rows for key, rows in of.items() if rows > 0} for kind, of in quotas.items()}
        self._given: dict[Work, Counter[str]] = {kind: Counter() for kind in self._quotas}

    def knows(self, work: Work, provider: str) -> bool:
        """Whether the plan gives this provider rows of this kind."""
        return provider in self._quotas.get(work.kind, {})

    def left(self, work: Work, provider: str) -> int:
        """Rows of this kind that this provider is still to be given."""
        return self._quotas.get(work.kind, {}).get(provider, 0) - self._given.get(work.kind, _NONE)[provider]

    def take(self, work: Work, provider: str) -> None:
        """The row goes there: call when it is routed."""
        if work.kind in self._given:
            self._given[work.kind][provider] += 1

    def give_back(self, work: Work, provider: str) -> None:
        """The row comes back unsent, or failed there: call before it is routed anew."""
        if work.kind in self._given:
            self._given[work.kind][provider] -= 1

    def rank(self, work: Work, views: Sequence[ProviderView]) -> list[ProviderView]:
        """First those within their part, soonest start first; then the planned ones; then the rest as they came."""
        quotas = self._quotas.get(work.kind)
        if not quotas:
            return list(views)
        given = self._given[work.kind]
        place = {view.key: number for number, view in enumerate(views)}
        due = (sum(given.values()) + 1) / sum(quotas.values())

        def weight(view: ProviderView) -> tuple[float, ...]:
            quota = quotas.get(view.key, 0)
            if quota == 0:
                return (2, place[view.key])
            ahead = given[view.key] + 1 - quota * due
            if given[view.key] < quota and ahead <= SLACK_ROWS:
                return (0, view.start_in_s(work), ahead, place[view.key])
            return (1, ahead, place[view.key])

        return sorted(views, key=weight)

    def drift(self) -> float:
        """The largest difference between a part and what was given, as a share of the kind's rows; 0 to 1."""
        worst = 0.0
        for kind, quotas in self._quotas.items():
            given, total = self._given[kind], sum(self._given[kind].values())
            for provider, quota in quotas.items():
                part = quota / sum(quotas.values())
                worst = max(worst, abs(given[provider] / total - part) if total else 0.0)
        return worst
