import asyncio

import pytest

from tasks.editing.places import Places


def test_rows_with_an_answer_come_before_rows_that_begin() -> None:
    order: list[str] = []

    async def row(places: Places, name: str, *, finishing: bool) -> None:
        async with places.one(finishing=finishing):
            order.append(name)
            await asyncio.sleep(0)

    async def main() -> None:
        places = Places(1)
        names = ("a begins", "b begins", "c begins", "x has its answer", "y has its answer")
        await asyncio.gather(*(row(places, name, finishing="answer" in name) for name in names))

    asyncio.run(main())

    assert order == ["a begins", "x has its answer", "y has its answer", "b begins", "c begins"]


def test_no_more_are_inside_than_there_are_places_whatever_is_cancelled() -> None:
    inside = most = 0

    async def row(places: Places) -> None:
        nonlocal inside, most
        async with places.one():
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(0.001)
            finally:
                inside -= 1

    async def main() -> None:
        places = Places(3)
        rows = [asyncio.create_task(row(places)) for _ in range(60)]
        for number, task in enumerate(rows):
            if number % 3 == 0:
                await asyncio.sleep(0)
                task.cancel()
        ended = await asyncio.gather(*rows, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in ended) == 20
        await asyncio.wait_for(asyncio.gather(*(row(places) for _ in range(3))), 1)  # none was lost

    asyncio.run(main())

    assert most == 3


def test_one_who_is_cancelled_with_a_place_in_hand_passes_it_on() -> None:
    async def main() -> None:
        places = Places(1)
        async with places.one():
            waiting = asyncio.create_task(places.one().__aenter__())
            await asyncio.sleep(0)
        waiting.cancel()  # its turn has come, and it has not run yet
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(1), places.one():
            pass

    asyncio.run(main())


def test_one_who_is_cancelled_just_as_a_place_comes_free_harms_nobody() -> None:
    async def main() -> None:
        places = Places(1)
        async with places.one():
            waiting = asyncio.create_task(places.one().__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()  # passed over by the give-back that follows, before it runs itself
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(1), places.one():
            pass

    asyncio.run(main())
