"""Ordered asynchronous work: what is put in first is done first, one at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from visavis_egress.ending import ended
from visavis_runtime import log
from visavis_runtime.errors import VisavisError

logger = log.get(__name__)

Work = Callable[[], Awaitable[None]]


class Lane:
    """A queue with one worker. Errors go to `on_error`, defects to `on_defect`; it goes on.

    Without `on_defect` they are logged: for what a session can do without.
    """

    def __init__(
        self,
        name: str,
        on_error: Callable[[VisavisError], None],
        on_defect: Callable[[Exception], None] | None = None,
    ) -> None:
        self._name, self._on_error, self._on_defect = name, on_error, on_defect
        self._queue: asyncio.Queue[Work] = asyncio.Queue()
        self._worker = asyncio.create_task(self._run(), name=f"lane {name}")

    def put(self, work: Work) -> None:
        """Do it after everything that was put in before."""
        self._queue.put_nowait(work)

    async def flush(self, timeout_s: float) -> None:
        """Return when everything put in so far is done, or after `timeout_s`."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._queue.join(), timeout_s)

    async def aclose(self) -> None:
        """Drop what is left."""
        await ended([self._worker])

    async def _run(self) -> None:
        while True:
            work = await self._queue.get()
            try:
                await work()
            except VisavisError as error:
                self._on_error(error)
            except Exception as error:  # the outermost loop: a library may raise anything
                logger.exception("lane.failed", lane=self._name)
                if self._on_defect:
                    self._on_defect(error)
            finally:
                self._queue.task_done()
