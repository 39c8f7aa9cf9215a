"""A small memory of answers."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The last few answers. Shared by threads; who asks for what another works out waits for that."""

    def __init__(self, most: int) -> None:
        self._most, self._kept, self._lock = most, OrderedDict[K, V](), threading.Lock()
        self._under_way: dict[K, threading.Lock] = {}

    def get(self, key: K, work: Callable[[], V]) -> V:
        """The answer for `key`, worked out when it is not at hand."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            turn = self._under_way.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                answer = work()
                self.keep(key, answer)
                return answer
            finally:
                with self._lock:
                    self._under_way.pop(key, None)

    def forget(self, key: K) -> None:
        """Work it out anew next time."""
        with self._lock:
            self._kept.pop(key, None)

    def keep(self, key: K, answer: V) -> None:
        """Put an answer where `get` finds it; the one not used for longest makes room."""
        with self._lock:
            self._kept[key] = answer
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
