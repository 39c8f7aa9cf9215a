"""Questions that many rows ask in the same moment, asked as one: a look at the ledger costs the same for one row and for fifty."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Generic, TypeVar

V = TypeVar("V")


class AskedTogether(Generic[V]):
    """One question at a time; what comes up while it is under way is the next one. Belongs to one event loop."""

    def __init__(self, ask: Callable[[Set[str]], Awaitable[Mapping[str, V]]]) -> None:
        """`ask` answers for many keys; a key that it leaves out has no answer."""
        self._ask = ask
        self._waiting: list[tuple[str, asyncio.Future[V | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def answer(self, key: str) -> V | None:
        """For one key; None: there is none. Raises what `ask` raises."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_all())
        return await future

    async def _ask_for_all(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                try:
                    answers = await self._ask({key for key, _ in asked})
                except Exception as error:  # noqa: BLE001 - each of those who asked hears of it
                    _tell(asked, error=error)
                else:
                    _tell(asked, answers=answers)
        finally:
            self._asking = None


def _tell(
    asked: list[tuple[str, "asyncio.Future[V | None]"]],
    *,
    answers: Mapping[str, V] | None = None,
    error: Exception | None = None,
) -> None:
    for key, future in asked:
        if future.done():
            continue  # whoever asked was cancelled
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result((answers or {}).get(key))
