"""The work loop of the model stages: fetch while a slot is free, renew, ack, retry, give up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from visavis.pipeline.v1 import pipeline_pb2 as pb

from visavis_runtime import log, subjects, telemetry
from visavis_runtime.bus import Bus, WorkItem, WorkQueue
from visavis_runtime.bus import Message as BusMessage
from visavis_runtime.errors import BusError, Poison

logger = log.get(__name__)

RENEW_S = 0.3
FINISH_S = 10.0
MAX_TRIES = 3
CANCEL_MEMORY_S = 60.0


class Addressed(Protocol):
    """A work message."""

    @property
    def address(self) -> pb.Address:
        """Which attempt of which turn of which session."""


W = TypeVar("W", bound=Addressed)


class Cancels:
    """The lowest epoch that counts, by session. Saves work; the guarantee is egress' own filter."""

    def __init__(self) -> None:
        self._floors: dict[str, tuple[int, float]] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def on_message(self, message: BusMessage) -> None:
        """Take in a message of `vv.cancel.*`; malformed ones are logged and dropped."""
        try:
            cancel = pb.Cancel.FromString(message.data)
        except DecodeError:
            logger.warning("cancel.malformed", subject=message.subject)
            return
        now = time.monotonic()
        self._floors = {k: v for k, v in self._floors.items() if now - v[1] < CANCEL_MEMORY_S}
        floor = max(cancel.epoch, self._floors.get(cancel.session_id, (0, 0))[0])
        self._floors[cancel.session_id] = (floor, now)
        for event in self._waiting.get(cancel.session_id, ()):
            event.set()

    def is_void(self, address: pb.Address) -> bool:
        """True when the work's epoch was cancelled (recognition work has none: by generation)."""
        floor = self._floors.get(address.session_id, (0, 0))[0]
        if address.epoch:
            return address.epoch < floor
        return address.generation < subjects.generation_of(floor)

    async def wait(self, address: pb.Address) -> None:
        """Return once the work is void."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(address.session_id, set())
        waiting.add(event)
        try:
            while not self.is_void(address):
                await event.wait()
                event.clear()
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(address.session_id, None)


class Stage(Generic[W]):
    """Feeds one stage's work items to a handler.

    `handle(work)` publishes its results itself and returns; it is cancelled when the item's epoch
    is. `fail(work, error)` publishes the error result of an item that was given up.
    """

    def __init__(self, name: str, bus: Bus, parse: Callable[[bytes], W], *, slots: int) -> None:
        self._name, self._bus, self._parse = name, bus, parse
        self._slots = asyncio.Semaphore(slots)
        self._cancels = Cancels()
        self._held: dict[int, WorkItem] = {}

    async def run(
        self,
        handle: Callable[[W], Awaitable[None]],
        fail: Callable[[pb.Address, W | None, pb.StageError], Awaitable[None]],
        stopping: asyncio.Event,
    ) -> None:
        """Work until `stopping`; then finish within 10 s what is running and give back the rest."""
        self._handle, self._fail = handle, fail
        queue = await self._bind(stopping)
        if queue is None:
            return
        hearing = await self._bus.subscribe("vv.cancel.*", self._cancels.on_message)
        running: set[asyncio.Task[None]] = set()
        while not stopping.is_set():
            await self._slots.acquire()
            item = await self._next(queue)
            if item is None or stopping.is_set():
                self._slots.release()
                await self._return(item)
                continue
            task = asyncio.create_task(self._process(item))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            _, late = await asyncio.wait(running, timeout=FINISH_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await queue.aclose()
        await hearing.aclose()

    async def _bind(self, stopping: asyncio.Event) -> WorkQueue | None:
        while not stopping.is_set():
            try:
                return await self._bus.work(subjects.WORK, self._name)
            except BusError as error:
                logger.info("stage.waiting_for_consumer", reason=str(error))
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(stopping.wait(), 0.5)
        return None

    async def _next(self, queue: WorkQueue) -> WorkItem | None:
        try:
            return await queue.fetch(2.0)
        except BusError as error:
            logger.warning("stage.fetch_failed", reason=str(error))
            await asyncio.sleep(0.25)
            return None

    async def _process(self, item: WorkItem) -> None:
        telemetry.WORK_RUNNING.labels(self._name).inc()
        try:
            if item.sequence in self._held:
                # Our own renewal came late: the newer delivery is the one that can be acked.
                self._held[item.sequence] = item
                return
            self._held[item.sequence] = item
            renewing = asyncio.create_task(self._renew(item.sequence))
            try:
                outcome = await self._work(item)
            finally:
                renewing.cancel()
                held = self._held.pop(item.sequence)
            await self._settle(held, outcome)
        except asyncio.CancelledError:
            await self._return(item)
            raise
        finally:
            telemetry.WORK_RUNNING.labels(self._name).dec()
            self._slots.release()

    async def _work(self, item: WorkItem) -> str:
        """Do the work; returns the outcome."""
        try:
            work = self._parse(item.data)
        except (DecodeError, Poison) as error:
            address = pb.Address(session_id=subjects.session_of(item.subject))
            return await self._give_up(item, address, None, Poison("MALFORMED", str(error)))
        with_address = dict(session=work.address.session_id, turn=work.address.turn)
        started = time.monotonic()
        if self._cancels.is_void(work.address):
            return "stale"
        try:
            finished = await self._until_cancelled(work)
        except Poison as error:
            return await self._give_up(item, work.address, work, error)
        except BusError as error:
            logger.warning("stage.bus_failed", reason=str(error), **with_address)
            return "retried"
        except Exception as error:  # the outermost loop of an item: an engine may raise anything
            logger.exception("stage.engine_failed", epoch=work.address.epoch, **with_address)
            if item.deliveries < MAX_TRIES:
                return "retried"
            failure = Poison("ENGINE_FAILED", f"{type(error).__name__} after {MAX_TRIES} tries")
            return await self._give_up(item, work.address, work, failure)
        if finished:
            telemetry.WORK_SECONDS.labels(self._name).observe(time.monotonic() - started)
        return "done" if finished else "cancelled"

    async def _until_cancelled(self, work: W) -> bool:
        handling = asyncio.ensure_future(self._handle(work))
        cancelling = asyncio.ensure_future(self._cancels.wait(work.address))
        try:
            await asyncio.wait({handling, cancelling}, return_when=asyncio.FIRST_COMPLETED)
            if handling.done():
                await handling
                return True
            return False
        finally:
            for task in (handling, cancelling):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _give_up(
        self, item: WorkItem, address: pb.Address, work: W | None, error: Poison
    ) -> str:
        logger.error(
            "stage.gave_up", session=address.session_id, code=error.code, reason=str(error)
        )
        reason = pb.StageError(code=error.code, message=str(error))
        letter = pb.DeadLetter(
            stage=self._name, subject=item.subject, stream_sequence=item.sequence, error=reason
        )
        if self._name != "asr":  # speech stays out of the dead letters
            letter.payload = item.data
        session_id = subjects.session_of(item.subject)
        where = subjects.dead_letter(self._name, session_id)
        try:
            await self._bus.store(
                where, letter.SerializeToString(), message_id=f"{self._name}/{item.sequence}"
            )
            await self._fail(address, work, reason)
        except BusError as failure:
            logger.warning("stage.bus_failed", reason=str(failure))
            return "retried"
        return "poisoned"

    async def _settle(self, item: WorkItem, outcome: str) -> None:
        telemetry.WORK_TOTAL.labels(self._name, outcome).inc()
        try:
            if outcome == "retried":
                await item.nak(0.2)
            elif outcome == "poisoned":
                await item.term()
            else:
                await item.ack()
        except BusError as error:
            # It will be delivered again; deterministic ids keep that harmless.
            logger.warning("stage.settle_failed", reason=str(error))

    async def _return(self, item: WorkItem | None) -> None:
        if item:
            telemetry.WORK_TOTAL.labels(self._name, "returned").inc()
            with suppress(BusError):
                await item.nak()

    async def _renew(self, sequence: int) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(BusError):
                await self._held[sequence].renew()
