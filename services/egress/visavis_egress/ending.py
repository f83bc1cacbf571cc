"""Ends tasks for certain."""

import asyncio
from collections.abc import Iterable

_AGAIN_S = 0.2


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended; what they raise is dropped.

    Once is not enough: `asyncio.wait_for` loses a cancel that comes together with what it waits for
    (CPython before 3.12, issue 86296), which is what a process finds that was frozen.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
        for task in done:
            _ = task.cancelled() or task.exception()
