"""Where callbacks go, and what keeps repeated ones away from it."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from tasks.credits import Ledger


class Inbox(Protocol):
    """Takes verified callbacks. A callback is a hint to ask now, never a fact: whoever waits asks the provider itself."""

    async def put(self, provider: str, remote_id: str, payload: str) -> None:
        """Keep it. `payload` is the body as received, JSON. Putting the same one twice does no harm. Any exception: not kept."""
        ...


class LedgerInbox:
    """Hands callbacks to waiting runs through the ledger, wherever they run."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`ledger`: open, and closed by its owner."""
        self._ledger = ledger
        self._clock = clock

    async def put(self, provider: str, remote_id: str, payload: str) -> None:
        """As `Inbox.put`."""
        await self._ledger.put_callback(provider, remote_id, payload, self._clock())


class Recent:
    """Remembers the last `capacity` deliveries: vendors send twice, and a signature without a time can be replayed for ever."""

    def __init__(self, capacity: int = 10_000) -> None:
        """The ledger knows the older ones."""
        self._capacity = capacity
        self._seen: OrderedDict[tuple[str, str, bytes], None] = OrderedDict()

    def add(self, delivery: tuple[str, str, bytes]) -> bool:
        """Note a delivery; False when it is known."""
        if delivery in self._seen:
            self._seen.move_to_end(delivery)
            return False
        self._seen[delivery] = None
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return True

    def forget(self, delivery: tuple[str, str, bytes]) -> None:
        """It was not kept after all: the next delivery of it is welcome."""
        self._seen.pop(delivery, None)
