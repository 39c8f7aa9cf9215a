"""Who was given how many rows, and why: counted, for the table that people see."""

from collections import Counter

from tasks.routing import NoRoute, Route


class RoutingDecisions:
    """Of one run in this process."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def note(self, decision: Route | NoRoute) -> None:
        """One row was routed, or could not be."""
        if isinstance(decision, Route):
            self._counts[decision.provider, decision.endpoint.value, decision.reason] += 1
        else:
            self._counts["nobody", "", f"{decision.reason}: {decision.message}"[:200]] += 1

    def rows(self) -> list[dict[str, str | int]]:
        """The table, most first."""
        return [
            {"Provider": provider, "Endpoint": endpoint, "Why": why, "Decisions": count}
            for (provider, endpoint, why), count in self._counts.most_common()
        ]
