"""Tasks end, though a cancel is lost."""

import asyncio
from contextlib import suppress

from visavis_egress.ending import ended
from visavis_egress.lane import Lane


async def _loses_one() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def _fails() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise ConnectionError


async def test_a_task_that_loses_a_cancel_ends_all_the_same() -> None:
    tasks = [asyncio.create_task(_loses_one()), asyncio.create_task(_fails())]
    await asyncio.sleep(0)
    async with asyncio.timeout(3):
        await ended(tasks)
    assert all(task.done() for task in tasks)


async def test_so_does_a_lane_whose_work_loses_it() -> None:
    lane = Lane("test", lambda _: None)
    lane.put(_loses_one)
    await asyncio.sleep(0)
    async with asyncio.timeout(3):
        await lane.aclose()
