"""Takes sessions while a slot is free, and hands them on when the process is asked to stop."""

import asyncio
from contextlib import suppress

from visavis_egress import telemetry
from visavis_egress.holder import Hall, Holder
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, WorkItem, WorkQueue
from visavis_runtime.errors import BusError

logger = log.get(__name__)

_LEAVE_S = 10.0
"""For closing rooms and avatars, after the drain."""


class Worker:
    """Pulls a job only while there is a slot for it; nobody counts slots across processes."""

    def __init__(self, hall: Hall, slots: int) -> None:
        self._hall, self._slots = hall, slots
        self._holders: dict[asyncio.Task[None], Holder] = {}
        telemetry.SLOTS.set(slots)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; returns when every session has been handed on."""
        # At once and beside the loop below: a fetch may last another 2 s.
        leaving = asyncio.create_task(self._hand_on(stopping), name="hand on")
        queue = await self._bind(self._hall.bus, stopping)
        while queue and not stopping.is_set():
            if len(self._holders) >= self._slots:
                await self._wait_for_slot(stopping)
                continue
            item = await self._fetch(queue)
            if item and stopping.is_set():
                with suppress(BusError):
                    await item.nak()
            elif item:
                self._hold(item)
        await leaving
        if queue:
            await queue.aclose()

    async def _hand_on(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        drains = (holder.drain() for holder in self._holders.values())
        for outcome in await asyncio.gather(*drains, return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("session.drain_failed", exc_info=outcome)
        if self._holders:
            await asyncio.wait(self._holders, timeout=_LEAVE_S)

    def _hold(self, item: WorkItem) -> None:
        holder = Holder(self._hall, item)
        task = asyncio.create_task(holder.run(), name=f"session {holder.session_id}")
        self._holders[task] = holder
        telemetry.SESSIONS.set(len(self._holders))
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        holder = self._holders.pop(task)
        telemetry.SESSIONS.set(len(self._holders))
        if not task.cancelled() and (error := task.exception()):
            logger.error("session.crashed", session=holder.session_id, exc_info=error)

    async def _wait_for_slot(self, stopping: asyncio.Event) -> None:
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({stop, *self._holders}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()

    async def _fetch(self, queue: WorkQueue) -> WorkItem | None:
        try:
            return await queue.fetch(2.0)
        except BusError as error:
            logger.warning("worker.fetch_failed", reason=str(error))
            await asyncio.sleep(0.25)
            return None

    async def _bind(self, bus: Bus, stopping: asyncio.Event) -> WorkQueue | None:
        while not stopping.is_set():
            try:
                return await bus.work(subjects.JOBS, "egress")
            except BusError as error:
                logger.info("worker.waiting_for_consumer", reason=str(error))
                await asyncio.sleep(0.5)
        return None
