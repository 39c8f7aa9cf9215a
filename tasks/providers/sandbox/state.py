"""What the vendors of one sandbox share: the bill, the faults, the shelf of pictures, the threads."""

import asyncio
import hashlib
import itertools
import logging
import secrets
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tasks.providers.sandbox.bill import Bill
from tasks.providers.sandbox.callbacks import Callbacks
from tasks.providers.sandbox.clock import Clock, SystemClock
from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.edits import Edited, Order, edit
from tasks.providers.sandbox.faults import DAMAGE, OF_PICTURE, Endpoint, FaultBox, FaultKind
from tasks.providers.sandbox.fetching import Fetcher
from tasks.providers.sandbox.files import Shelf
from tasks.providers.sandbox.traffic import Traffic

LOG = logging.getLogger("cleanplate.sandbox")
SMALL_BYTES = 32_768  # of a picture that the quick engine edits faster than a thread could take it over


class SandboxState:
    """One per server. Everything but picture work happens on one event loop."""

    def __init__(self, config: SandboxConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.bill = Bill(config.bill, self.clock)
        self.traffic = Traffic()
        self.faults = FaultBox(seed=config.seed, clock=self.clock)
        for fault in config.faults:
            self.faults.add(fault)
        self.shelf = Shelf(kept_bytes=config.kept_bytes, clock=self.clock)
        self.fetcher = Fetcher()
        self.callbacks = Callbacks(fetcher=self.fetcher, faults=self.faults, clock=self.clock)
        self._threads = ThreadPoolExecutor(config.workers, thread_name_prefix="edit")
        self._background: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(secrets.randbelow(10**7) + 10**7)

    def new_number(self) -> int:
        """A number for a job, new in this process and most likely in any other."""
        return next(self._numbers)

    def new_id(self, prefix: str) -> str:
        """An id for a job."""
        return f"{prefix}{secrets.token_hex(8)}"

    def picture_faults(self, vendor: str, endpoint: Endpoint, names: Sequence[str]) -> frozenset[FaultKind]:
        """What is to go wrong with one picture."""
        return frozenset(f.kind for f in self.faults.draw(OF_PICTURE, vendor=vendor, endpoint=endpoint, names=names))

    async def edit(self, order: Order, faults: frozenset[FaultKind] = frozenset()) -> Edited:
        """Edit in a thread. Raises PictureError."""
        damage = min(faults & DAMAGE, default=None)
        order = replace(order, damage=damage) if damage else order
        engine = self.config.engine
        if engine == "quick" and len(order.image) <= SMALL_BYTES:
            return edit(order, engine=engine)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: edit(order, engine=engine))

    def spawn(self, life: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside the request that began it."""
        task = asyncio.get_running_loop().create_task(life)
        self._background.add(task)
        task.add_done_callback(self._ended)

    async def settled(self) -> None:
        """Return once no job is under way and no callback is on its way."""
        while self._background:
            await asyncio.wait(set(self._background))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.traffic.defects += 1
            LOG.error("a job ended by a defect of the sandbox", exc_info=error)

    async def aclose(self) -> None:
        """Stop jobs, and give back threads, connections and the bill's file."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.fetcher.aclose()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.bill.close()


def sha256(data: bytes) -> str:
    """Hex."""
    return hashlib.sha256(data).hexdigest()
