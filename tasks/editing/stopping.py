"""One switch that ends the taking up of new work; what was already sent runs to its end."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from manifests.error_codes import ErrorCode
from tasks.editing.errors import StoppedError

T = TypeVar("T")


class StopSwitch:
    """Thrown once, by a signal or by the deadline; the first reason stays."""

    def __init__(self) -> None:
        """Belongs to the event loop in which it is made."""
        self._code: ErrorCode | None = None
        self._working: set[asyncio.Task[Any]] = set()
        self._stopped: set[asyncio.Task[Any]] = set()

    @property
    def thrown(self) -> bool:
        """Whether the run takes up nothing new."""
        return self._code is not None

    def throw(self, code: ErrorCode) -> None:
        """From now on `check` and `unless_stopped` raise."""
        if self._code is None:
            self._code = code
            self._stopped = set(self._working)
            for task in self._stopped:
                task.cancel()

    def check(self) -> None:
        """Raises StoppedError when the switch was thrown."""
        if self._code is not None:
            raise StoppedError(self._code)

    async def unless_stopped(self, work: Awaitable[T]) -> T:
        """Await `work`, but cancel it and raise StoppedError as soon as the switch is thrown. For work that has sent nothing.

        It runs inside the caller's own task, as under `asyncio.timeout`: rows are many, and a task each is not free.
        """
        if self._code is not None:
            if isinstance(work, Coroutine):
                work.close()
            raise StoppedError(self._code)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - whoever awaits is a task
        self._working.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if self._code is not None and task in self._stopped and task.uncancel() == 0:
                raise StoppedError(self._code) from None
            raise
        finally:
            self._working.discard(task)
            self._stopped.discard(task)
