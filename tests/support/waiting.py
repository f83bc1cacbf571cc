"""Bounded waits: until something holds, or the test fails with what was waited for."""

import asyncio
import time
from collections.abc import Callable

from visavis_runtime.bus import WorkItem, WorkQueue


async def until(condition: Callable[[], object], what: str, *, within_s: float = 5.0) -> None:
    """Return as soon as `condition()` is true; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.005)


async def fetched(queue: WorkQueue, *, within_s: float = 5.0) -> WorkItem:
    """The next item of a work queue; AssertionError after `within_s`."""
    item = await queue.fetch(within_s)
    assert item, f"no item within {within_s} s"
    return item
