"""Reads that must not wait for the writer: their own thread and connection, each statement on what is committed."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from tasks.credits.database import Connection, ConnectionLost, Database
from tasks.credits.errors import LedgerUnavailable

T = TypeVar("T")
_PAUSE_S: Final = 0.2


class Reader:
    """One thread that reads."""

    def __init__(self, database: Database, *, patience_s: float) -> None:
        """Connects at the first look."""
        self._database, self._patience_s = database, patience_s
        self._connection: Connection | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cleanplate-ledger-reader")

    async def read(self, look: Callable[[Connection], T]) -> T:
        """What `look` finds."""
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, look)

    def _look(self, look: Callable[[Connection], T]) -> T:
        give_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                self._connection = self._connection or self._database.connect(durable=False)
                return look(self._connection)
            except ConnectionLost as error:
                self._hang_up()
                if time.monotonic() > give_up_at:
                    raise LedgerUnavailable(f"the ledger does not answer: {error}") from None
                time.sleep(_PAUSE_S)

    async def aclose(self) -> None:
        """Give back the connection and the thread."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._hang_up)
        self._thread.shutdown()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
