"""A mapping that keeps its newest entries and forgets the oldest, so that memory does not grow with the traffic."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `kept` entries, in the order of entering."""

    def __init__(self, kept: int = 100_000) -> None:
        self._kept = kept
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __setitem__(self, key: K, value: V) -> None:
        """Enter, or enter anew as the newest."""
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self._kept:
            self._entries.popitem(last=False)

    def get(self, key: K) -> V | None:
        """The entry, if it is still known."""
        return self._entries.get(key)

    def newest_first(self) -> Iterator[V]:
        """Every entry still known."""
        return reversed(self._entries.values())
