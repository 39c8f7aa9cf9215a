"""How many rows are on their way to a provider's queue: while there are any, a batch that is not full may wait for them."""

from collections.abc import Callable


class Upstream:
    """Belongs to one event loop."""

    def __init__(self, on_empty: Callable[[], None]) -> None:
        """`on_empty` is called when the last row has left."""
        self._rows = 0
        self._on_empty = on_empty

    @property
    def busy(self) -> bool:
        """Whether more rows are coming."""
        return self._rows > 0

    def enter(self) -> "UpstreamPass":
        """One row comes under way."""
        self._rows += 1
        return UpstreamPass(self)

    def _leave(self) -> None:
        self._rows -= 1
        if self._rows == 0:
            self._on_empty()


class UpstreamPass:
    """One row's; `leave` counts once."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._inside = True

    def leave(self) -> None:
        """The row waits at a provider now, or has its outcome."""
        if self._inside:
            self._inside = False
            self._upstream._leave()
