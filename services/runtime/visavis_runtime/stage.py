"""The work loop of the model stages: fetch while a slot is free, renew, ack, retry, give up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError
from prometheus_client import Counter, Gauge, Histogram
from structlog.contextvars import bind_contextvars

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, Message, WorkItem, WorkQueue
from visavis_runtime.errors import BusError, Poison, TooLarge

logger = log.get(__name__)

WORK_TOTAL = Counter("vv_work_total", "Work items by their end", ["stage", "outcome"])
WORK_RUNNING = Gauge("vv_work_running", "Work items in progress", ["stage"])
_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
WORK_SECONDS = Histogram("vv_work_seconds", "Time spent", ["stage", "outcome"], buckets=_BUCKETS_S)

RENEW_S = 0.3
FINISH_S = 10.0
MAX_TRIES = 3
CANCEL_MEMORY_S = 60.0
AGAIN_S = 0.05
"""Python 3.11's wait_for loses a cancel that comes together with what it waits for."""

W = TypeVar("W", bound=pb.TranscribeWork | pb.GenerateWork | pb.SynthesizeWork)


class Cancels:
    """The lowest epoch that counts, by session. Saves work; the guarantee is egress' own filter."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._floors: dict[str, tuple[int, float]] = {}
        self._running: dict[asyncio.Future[None], pb.Address] = {}

    def on_message(self, message: Message) -> None:
        """Take in a message of `vv.cancel.*`; malformed ones are logged and dropped."""
        try:
            cancel = pb.Cancel.FromString(message.data)
        except DecodeError:
            logger.warning("cancel.malformed", subject=message.subject)
            return
        now = self._clock()
        self._floors = {k: v for k, v in self._floors.items() if now - v[1] < CANCEL_MEMORY_S}
        floor = max(cancel.epoch, self._floors.get(cancel.session_id, (0, 0))[0])
        self._floors[cancel.session_id] = (floor, now)
        for task in [task for task, address in self._running.items() if self.is_void(address)]:
            self._running.pop(task)  # another one at once would interrupt its cleaning up
            task.cancel()
            asyncio.get_running_loop().call_later(AGAIN_S, task.cancel)

    def is_void(self, address: pb.Address) -> bool:
        """True when the work's epoch was cancelled (recognition work has none: by generation)."""
        floor = self._floors.get(address.session_id, (0, 0))[0]
        if address.epoch:
            return address.epoch < floor
        return address.generation < subjects.generation_of(floor)

    async def run(self, address: pb.Address, work: Coroutine[None, None, None]) -> bool:
        """Do the work, cancelled as soon as it is void. True when it was finished."""
        task = asyncio.ensure_future(work)
        self._running[task] = address
        try:
            await task
        except asyncio.CancelledError:
            if not self.is_void(address):
                raise
            return False
        finally:
            self._running.pop(task, None)
        return True


class Stage(Generic[W]):
    """Feeds one stage's work items to a handler.

    `handle(work)` publishes its results itself and returns; it is cancelled when the item's epoch
    is. `fail(address, work, error)` publishes the error result of an item that was given up; `work`
    is None where it could not be read. What is not `wanted` is acked unworked.
    """

    def __init__(self, name: str, bus: Bus, parse: Callable[[bytes], W], *, slots: int) -> None:
        self._name, self._bus, self._parse, self._slots = name, bus, parse, slots
        self._cancels = Cancels()
        self._held: dict[int, WorkItem] = {}
        self._queue: WorkQueue | None = None

    async def run(
        self,
        handle: Callable[[W], Coroutine[None, None, None]],
        fail: Callable[[pb.Address, W | None, pb.StageError], Coroutine[None, None, None]],
        stopping: asyncio.Event,
        wanted: Callable[[W, WorkItem], bool] = lambda *_: True,
    ) -> None:
        """Work until `stopping`; then finish within 10 s what is running and give back the rest."""
        self._handle, self._fail, self._wanted = handle, fail, wanted
        hearing = await self._bus.subscribe(subjects.cancel("*"), self._cancels.on_message)
        running: set[asyncio.Task[None]] = set()
        stopped = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                if len(running) < self._slots:
                    await self._take(running, stopping)
                else:
                    await asyncio.wait({stopped, *running}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({stopped, *running}, timeout=FINISH_S)
        finally:
            for task in (stopped, *running):
                task.cancel()
            await asyncio.gather(stopped, *running, return_exceptions=True)
            if self._queue:
                await self._queue.aclose()
            await hearing.aclose()

    async def _take(self, running: set[asyncio.Task[None]], stopping: asyncio.Event) -> None:
        """Fetch one item, if there is one, and start on it."""
        try:
            self._queue = self._queue or await self._bus.work(subjects.WORK, self._name)
            item = await self._queue.fetch(2.0)
        except BusError as error:
            logger.warning("stage.fetch_failed", reason=str(error))
            await asyncio.sleep(0.25)
            return
        if item and stopping.is_set():
            await self._settle(item, "returned")
        elif item and item.sequence in self._held:
            # Our own renewal came late: the newer delivery is the one that can be acked.
            self._held[item.sequence] = item
        elif item:
            running.add(task := asyncio.create_task(self._process(item)))
            task.add_done_callback(running.discard)

    async def _process(self, item: WorkItem) -> None:
        WORK_RUNNING.labels(self._name).inc()
        self._held[item.sequence] = item
        renewing = asyncio.create_task(self._renew(item.sequence))
        outcome = "returned"
        try:
            outcome = await self._work(item)
        except BusError as error:
            logger.warning("stage.bus_failed", reason=str(error))
            outcome = "retried"
        finally:  # cancelled by the drain, too
            renewing.cancel()
            WORK_RUNNING.labels(self._name).dec()
            await self._settle(self._held.pop(item.sequence), outcome)

    async def _work(self, item: WorkItem) -> str:
        """Do the work. Returns done, stale, cancelled, retried or poisoned."""
        address, work = pb.Address(session_id=subjects.session_of(item.subject)), None
        try:
            work = self._parse(item.data)
            address = work.address
            bind_contextvars(session=address.session_id, turn=address.turn, epoch=address.epoch)
            if self._cancels.is_void(address) or not self._wanted(work, item):
                return "stale"
            started = time.monotonic()
            is_done = await self._cancels.run(address, self._handle(work))
            outcome = "done" if is_done else "cancelled"
            WORK_SECONDS.labels(self._name, outcome).observe(time.monotonic() - started)
            return outcome
        except (Poison, DecodeError, TooLarge) as error:
            code = "MALFORMED" if isinstance(error, DecodeError) else "TOO_LARGE"
            poison = error if isinstance(error, Poison) else Poison(code, str(error))
        except BusError:
            raise
        except Exception as error:  # the outermost loop of an item: an engine may raise anything
            logger.exception("stage.engine_failed", tries=item.deliveries)
            if item.deliveries < MAX_TRIES:
                return "retried"
            poison = Poison("ENGINE_FAILED", f"{type(error).__name__} after {MAX_TRIES} tries")
        reason = pb.StageError(code=poison.code, message=str(poison))
        await self._bury(item, reason)
        await self._fail(address, work, reason)
        return "poisoned"

    async def _bury(self, item: WorkItem, reason: pb.StageError) -> None:
        logger.error("stage.gave_up", subject=item.subject, code=reason.code, reason=reason.message)
        letter = pb.DeadLetter(stage=self._name, subject=item.subject, error=reason)
        letter.stream_sequence = item.sequence
        letter.payload = b"" if self._name == "asr" else item.data  # no speech in dead letters
        where = subjects.dead_letter(self._name, subjects.session_of(item.subject))
        letter_id = f"{self._name}/{item.sequence}"
        await self._bus.store(where, letter.SerializeToString(), message_id=letter_id)

    async def _settle(self, item: WorkItem, outcome: str) -> None:
        WORK_TOTAL.labels(self._name, outcome).inc()
        verbs: dict[str, Callable[[], Awaitable[None]]]
        verbs = {"returned": item.nak, "retried": partial(item.nak, 0.2), "poisoned": item.term}
        try:
            await verbs.get(outcome, item.ack)()
        except BusError as error:
            # It will be delivered again; deterministic ids keep that harmless.
            logger.warning("stage.settle_failed", reason=str(error))

    async def _renew(self, sequence: int) -> None:
        await asyncio.sleep(RENEW_S)
        # Not only until it is cancelled: the client's wait_for may lose that, see AGAIN_S.
        while item := self._held.get(sequence):
            with suppress(BusError):
                await item.renew()
            await asyncio.sleep(RENEW_S)
