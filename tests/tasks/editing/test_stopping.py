import asyncio

import pytest

from manifests.error_codes import ErrorCode
from tasks.editing.errors import StoppedError
from tasks.editing.stopping import StopSwitch


async def forever() -> str:
    await asyncio.Event().wait()
    return "never"


def test_work_under_way_ends_when_the_switch_is_thrown_with_the_first_reason() -> None:
    async def main() -> StoppedError:
        switch = StopSwitch()
        work = asyncio.create_task(switch.unless_stopped(forever()))
        await asyncio.sleep(0)
        switch.throw(ErrorCode.DEADLINE_REACHED)
        switch.throw(ErrorCode.INTERRUPTED)
        with pytest.raises(StoppedError) as caught:
            await work
        return caught.value

    assert asyncio.run(main()).code is ErrorCode.DEADLINE_REACHED


def test_nothing_begins_after_it() -> None:
    begun = []

    async def begin() -> None:
        begun.append(1)

    async def main() -> None:
        switch = StopSwitch()
        switch.throw(ErrorCode.INTERRUPTED)
        with pytest.raises(StoppedError):
            await switch.unless_stopped(begin())

    asyncio.run(main())

    assert begun == []


def test_what_is_done_is_given_back_and_what_fails_fails() -> None:
    async def fail() -> None:
        raise KeyError("x")

    async def main() -> int:
        switch = StopSwitch()
        with pytest.raises(KeyError):
            await switch.unless_stopped(fail())
        done = await switch.unless_stopped(asyncio.sleep(0, 7))
        switch.throw(ErrorCode.INTERRUPTED)
        await asyncio.sleep(0)  # nobody who has left the block is cancelled
        return done

    assert asyncio.run(main()) == 7


def test_a_cancellation_from_outside_stays_one() -> None:
    async def main() -> bool:
        switch = StopSwitch()
        work = asyncio.create_task(switch.unless_stopped(forever()))
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return work.cancelled()

    assert asyncio.run(main())


def test_a_cancellation_from_outside_wins_over_the_switch() -> None:
    async def main() -> bool:
        switch = StopSwitch()
        work = asyncio.create_task(switch.unless_stopped(forever()))
        await asyncio.sleep(0)
        switch.throw(ErrorCode.INTERRUPTED)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return work.cancelled()

    assert asyncio.run(main())
