"""One switch that ends the taking up of new work; what was already sent runs to its end."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from manifests.error_codes import ErrorCode
from tasks.editing.errors import StoppedError

T = TypeVar("T")


class StopSwitch:
    """Thrown once, by a signal or by the deadline; the first reason stays."""

    def __init__(self) -> None:
        """Belongs to the event loop in which it is made."""
        self._thrown = asyncio.Event()
        self._code = ErrorCode.INTERRUPTED

    @property
    def thrown(self) -> bool:
        """Whether the run takes up nothing new."""
        return self._thrown.is_set()

    def throw(self, code: ErrorCode) -> None:
        """From now on `check` and `unless_stopped` raise."""
        if not self._thrown.is_set():
            self._code = code
            self._thrown.set()

    def check(self) -> None:
        """Raises StoppedError when the switch was thrown."""
        if self._thrown.is_set():
            raise StoppedError(self._code)

    async def unless_stopped(self, work: Awaitable[T]) -> T:
        """Await `work`, but cancel it and raise StoppedError as soon as the switch is thrown. For work that has sent nothing."""
        task = asyncio.ensure_future(work)
        if self._thrown.is_set():
            task.cancel()
        switch = asyncio.ensure_future(self._thrown.wait())
        try:
            await asyncio.wait({task, switch}, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not task.cancelled():
                return task.result()
            raise StoppedError(self._code)
        finally:
            switch.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
