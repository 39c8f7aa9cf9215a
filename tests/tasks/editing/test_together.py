import asyncio
from collections.abc import Mapping, Set

import pytest

from tasks.editing.together import AskedTogether


class Books:
    """Answers with a key's length, and remembers each question; `x…` has no answer."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.begun = asyncio.Event()

    async def __call__(self, keys: Set[str]) -> Mapping[str, int]:
        self.asked.append(set(keys))
        self.begun.set()
        await asyncio.sleep(0)
        if "bad" in keys:
            raise ConnectionError("the ledger does not answer")
        return {key: len(key) for key in keys if not key.startswith("x")}


def test_what_is_asked_at_once_is_one_question() -> None:
    books = Books()

    async def main() -> list[int | None]:
        together = AskedTogether(books)
        return await asyncio.gather(*(together.answer(key) for key in ("a", "bb", "a", "xyz")))

    assert asyncio.run(main()) == [1, 2, 1, None]
    assert books.asked == [{"a", "bb", "xyz"}]


def test_what_comes_up_meanwhile_is_the_next_question() -> None:
    books = Books()

    async def main() -> list[int | None]:
        together = AskedTogether(books)
        first = asyncio.create_task(together.answer("a"))
        await books.begun.wait()
        return [*await asyncio.gather(together.answer("bb"), together.answer("ccc")), await first]

    assert asyncio.run(main()) == [2, 3, 1]
    assert books.asked == [{"a"}, {"bb", "ccc"}]


def test_a_failed_question_fails_for_all_who_asked_it_and_for_nobody_else() -> None:
    books = Books()

    async def main() -> int | None:
        together = AskedTogether(books)
        outcomes = await asyncio.gather(together.answer("a"), together.answer("bad"), return_exceptions=True)
        assert [type(one) for one in outcomes] == [ConnectionError, ConnectionError]
        return await together.answer("bb")

    assert asyncio.run(main()) == 2


def test_one_who_goes_away_takes_nobody_along() -> None:
    books = Books()

    async def main() -> int | None:
        together = AskedTogether(books)
        gone, there = asyncio.create_task(together.answer("a")), asyncio.create_task(together.answer("a"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await there

    assert asyncio.run(main()) == 1
