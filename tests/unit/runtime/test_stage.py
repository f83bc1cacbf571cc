"""The work loop: once, again, cancelled, given up, drained."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.support.memory_bus import MemoryServer, MemoryWorkItem
from tests.support.waiting import fetched, until
from tests.unit.runtime.conftest import MovableClock
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import stage, subjects
from visavis_runtime.bus import WorkItem
from visavis_runtime.errors import BusUnavailable, Poison, TooLarge
from visavis_runtime.stage import Stage

SID = "01HZX"
WORK = subjects.work("llm", SID)


def work(epoch: int = 5, turn: int = 1) -> bytes:
    address = pb.Address(session_id=SID, generation=1, turn=turn, epoch=epoch)
    return pb.GenerateWork(address=address).SerializeToString()


class Worker:
    """A handler that notes what it does; `gate` holds it, `errors` are raised in turn."""

    def __init__(self, server: MemoryServer, *, name: str = "llm", slots: int = 1) -> None:
        self.bus = server.connect()
        self.stage = Stage(name, self.bus, pb.GenerateWork.FromString, slots=slots)
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[Exception] = []
        self.begun: list[int] = []
        self.done: list[int] = []
        self.stopped_at: list[float] = []
        self.failed: list[tuple[pb.Address, pb.GenerateWork | None, pb.StageError]] = []
        self.stopping = asyncio.Event()
        self.wanted: Callable[[pb.GenerateWork, WorkItem], bool] = lambda *_: True

    async def handle(self, work: pb.GenerateWork) -> None:
        self.begun.append(work.address.epoch)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped_at.append(time.monotonic())
            raise
        if self.errors:
            raise self.errors.pop(0)
        self.done.append(work.address.epoch)

    async def fail(
        self, address: pb.Address, work: pb.GenerateWork | None, error: pb.StageError
    ) -> None:
        self.failed.append((address, work, error))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(
            self.stage.run(self.handle, self.fail, self.stopping, self.wanted)
        )
        try:
            await asyncio.sleep(0)
            yield
        finally:
            self.gate.set()
            self.stopping.set()
            await asyncio.wait_for(task, 5)


def waiting(server: MemoryServer, stream: str = subjects.WORK) -> list[bytes]:
    """What a stream still holds."""
    return [kept.data for kept in server.streams[stream].select(">", server.clock())]


async def letters(server: MemoryServer, stage_name: str = "llm") -> list[pb.DeadLetter]:
    kept = server.streams[subjects.DLQ].select(f"vv.dlq.{stage_name}.*", server.clock())
    return [pb.DeadLetter.FromString(letter.data) for letter in kept]


async def test_finished_items_are_gone(server: MemoryServer) -> None:
    worker = Worker(server)
    async with worker.running():
        for epoch in (5, 6, 7):
            await worker.bus.store(WORK, work(epoch))
        await until(lambda: not waiting(server), "all acked")
    assert worker.done == [5, 6, 7]
    assert not worker.failed


async def test_never_more_items_than_slots_are_begun(server: MemoryServer) -> None:
    worker = Worker(server, slots=2)
    worker.gate.clear()
    async with worker.running():
        for epoch in range(5, 9):
            await worker.bus.store(WORK, work(epoch))
        await until(lambda: len(worker.begun) == 2, "two begun")
        other = await (await server.connect().work(subjects.WORK, "llm")).fetch(0.05)
        assert other  # left for another worker
        await other.nak()
        assert len(worker.begun) == 2
        worker.gate.set()
        await until(lambda: not waiting(server), "all acked")
    assert sorted(worker.done) == [5, 6, 7, 8]


async def test_what_is_not_wanted_is_gone_unworked(server: MemoryServer) -> None:
    worker = Worker(server)
    seen: list[tuple[int, int]] = []

    def wanted(item_work: pb.GenerateWork, item: WorkItem) -> bool:
        seen.append((item_work.address.epoch, item.waiting))
        return item_work.address.epoch != 6

    worker.wanted = wanted
    for epoch in (5, 6, 7):
        await worker.bus.store(WORK, work(epoch))
    async with worker.running():
        await until(lambda: not waiting(server), "all acked")
    assert worker.done == [5, 7]
    assert seen == [(5, 2), (6, 1), (7, 0)]
    assert not worker.failed


async def test_a_held_item_that_comes_again_is_not_begun_again(
    server: MemoryServer, clock: MovableClock
) -> None:
    worker = Worker(server, slots=2)
    worker.gate.clear()
    async with worker.running():
        await worker.bus.store(WORK, work())
        await until(lambda: worker.begun, "begun")
        first = dict(worker.stage._held)
        clock.offset_s += 1.5  # the renewal came late
        server.tick()
        await until(lambda: worker.stage._held != first, "the newer delivery is held")
        (held,) = worker.stage._held.values()
        assert held.deliveries == 2
        worker.gate.set()
        await until(lambda: not waiting(server), "acked")
    assert (worker.begun, worker.done) == ([5], [5])


async def test_long_work_stays_with_its_worker(server: MemoryServer) -> None:
    worker = Worker(server)
    worker.gate.clear()
    server.longest_fetch_s = 2
    async with worker.running():
        await worker.bus.store(WORK, work())
        await until(lambda: worker.begun, "begun")
        queue = await server.connect().work(subjects.WORK, "llm")
        assert await queue.fetch(1.4) is None  # the ack wait is 1 s
    assert worker.done == [5]


async def test_a_cancel_stops_the_handler_within_50_ms_and_the_item_is_gone(
    server: MemoryServer,
) -> None:
    worker = Worker(server)
    worker.gate.clear()
    before, done = spent("cancelled"), spent("done")
    async with worker.running():
        await worker.bus.store(WORK, work(epoch=5))
        await until(lambda: worker.begun, "begun")
        sent = time.monotonic()
        await cancel(server, epoch=6)
        await until(lambda: worker.stopped_at, "stopped")
        assert worker.stopped_at[0] - sent < 0.05
        await until(lambda: not waiting(server), "acked")
        assert spent("cancelled") > before  # thrown away, and accounted for
        assert spent("done") == done
    assert (worker.begun, worker.done, worker.failed) == ([5], [], [])


async def test_cancels_of_others_and_malformed_ones_stop_nothing(server: MemoryServer) -> None:
    worker = Worker(server)
    worker.gate.clear()
    async with worker.running():
        await worker.bus.store(WORK, work(epoch=5))
        await until(lambda: worker.begun, "begun")
        await cancel(server, epoch=5)
        await cancel(server, epoch=99, session_id="another")
        await worker.bus.publish(subjects.cancel(SID), b"\xff\xff malformed")
    assert worker.done == [5]


async def test_a_queued_item_of_a_cancelled_epoch_is_not_begun(server: MemoryServer) -> None:
    worker = Worker(server)
    async with worker.running():
        await cancel(server, epoch=6)
        await worker.bus.store(WORK, work(epoch=5))
        await worker.bus.store(WORK, work(epoch=6))
        await until(lambda: not waiting(server), "both acked")
    assert worker.begun == [6]


async def test_poison_is_buried_told_and_taken_out(server: MemoryServer) -> None:
    worker = Worker(server)
    worker.errors = [Poison("TOO_LONG", "longer than the model's context")]
    async with worker.running():
        receipt = await worker.bus.store(WORK, work())
        await until(lambda: not waiting(server), "termed")
    ((address, item, error),) = worker.failed
    assert item
    assert (address.session_id, address.epoch) == (SID, 5)
    assert (error.code, error.message) == ("TOO_LONG", "longer than the model's context")
    (letter,) = await letters(server)
    assert (letter.stage, letter.subject, letter.stream_sequence) == ("llm", WORK, receipt.sequence)
    assert (letter.payload, letter.error.code) == (work(), "TOO_LONG")
    assert worker.begun == [5]


async def test_malformed_bytes_are_poison_of_the_subjects_session(server: MemoryServer) -> None:
    worker = Worker(server)
    async with worker.running():
        await worker.bus.store(WORK, b"\xff\xff\xff")
        await worker.bus.store(WORK, work())
        await until(lambda: not waiting(server), "both out")
    ((address, item, error),) = worker.failed
    assert (address.session_id, item, error.code) == (SID, None, "MALFORMED")
    assert worker.done == [5]  # it still serves


async def test_an_oversized_result_is_poison(server: MemoryServer) -> None:
    worker = Worker(server)
    worker.errors = [TooLarge("vv.result.llm.x")]
    async with worker.running():
        await worker.bus.store(WORK, work())
        await until(lambda: not waiting(server), "termed")
    assert [error.code for _, _, error in worker.failed] == ["TOO_LARGE"]


async def test_speech_is_left_out_of_the_dead_letters(server: MemoryServer) -> None:
    worker = Worker(server, name="asr")
    worker.errors = [Poison("RATE", "not 16 kHz")]
    async with worker.running():
        await worker.bus.store(subjects.work("asr", SID), work())
        await until(lambda: not waiting(server), "termed")
    (letter,) = await letters(server, "asr")
    assert letter.payload == b""


async def test_an_engine_that_fails_is_tried_three_times_then_given_up(
    server: MemoryServer,
) -> None:
    worker = Worker(server)
    worker.errors = [RuntimeError("engine") for _ in range(3)]
    async with worker.running():
        await worker.bus.store(WORK, work())
        await until(lambda: not waiting(server), "termed")
    assert worker.begun == [5, 5, 5]
    assert [error.code for _, _, error in worker.failed] == ["ENGINE_FAILED"]
    assert len(await letters(server)) == 1


async def test_an_engine_that_recovers_answers(server: MemoryServer) -> None:
    worker = Worker(server)
    worker.errors = [RuntimeError("once"), BusUnavailable("once")]
    async with worker.running():
        await worker.bus.store(WORK, work())
        await until(lambda: not waiting(server), "acked")
    assert (worker.begun, worker.done, worker.failed) == ([5, 5, 5], [5], [])


async def test_an_error_result_that_cannot_be_stored_is_tried_again(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(server)
    worker.errors = [Poison("P", "first"), Poison("P", "second")]
    refuse = [BusUnavailable("no leader")]
    told: list[str] = []

    async def fail(address: pb.Address, item: pb.GenerateWork | None, error: pb.StageError) -> None:
        if refuse:
            raise refuse.pop()
        told.append(error.message)

    monkeypatch.setattr(worker, "fail", fail)
    async with worker.running():
        await worker.bus.store(WORK, work())
        await until(lambda: not waiting(server), "termed")
    assert told == ["second"]
    assert len(await letters(server)) == 1  # the repeat has the same id


async def test_the_drain_lets_running_work_finish_and_takes_no_more(server: MemoryServer) -> None:
    worker = Worker(server)
    worker.gate.clear()
    async with worker.running():
        await worker.bus.store(WORK, work(5))
        await worker.bus.store(WORK, work(6))
        await until(lambda: worker.begun, "begun")
        worker.stopping.set()
        await asyncio.sleep(0)
        worker.gate.set()
    assert worker.done == [5]
    assert waiting(server) == [work(6)]
    assert not server.listeners


async def test_an_item_that_comes_with_the_stop_goes_back_unworked(server: MemoryServer) -> None:
    server.longest_fetch_s = 1
    worker = Worker(server)
    async with worker.running():
        await worker.bus.store(WORK, work())
        worker.stopping.set()
    assert worker.begun == []
    item = await fetched(await server.connect().work(subjects.WORK, "llm"), within_s=0.3)
    assert item.deliveries == 2


async def test_an_ack_that_is_not_confirmed_ends_nothing(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = [BusUnavailable("ack not confirmed")]
    ack = MemoryWorkItem.ack

    async def unconfirmed(item: MemoryWorkItem) -> None:
        if refuse:
            raise refuse.pop()
        await ack(item)

    monkeypatch.setattr(MemoryWorkItem, "ack", unconfirmed)
    worker = Worker(server)
    async with worker.running():
        await worker.bus.store(WORK, work())
        await until(lambda: not waiting(server), "acked the second time")
    assert worker.done == [5, 5]  # the ids of what it publishes keep that harmless


async def test_work_that_is_too_slow_for_the_drain_goes_back_at_once(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "FINISH_S", 0.1)
    worker = Worker(server)
    worker.gate.clear()
    task = asyncio.create_task(worker.stage.run(worker.handle, worker.fail, worker.stopping))
    await worker.bus.store(WORK, work())
    await until(lambda: worker.begun, "begun")
    worker.stopping.set()
    await asyncio.wait_for(task, 1)
    server.longest_fetch_s = 0.3  # well before the ack wait
    item = await fetched(await server.connect().work(subjects.WORK, "llm"), within_s=0.3)
    assert item.deliveries == 2
    assert len(worker.stopped_at) == 1


async def test_a_worker_waits_for_its_consumer_and_survives_an_outage(
    server: MemoryServer,
) -> None:
    consumers = server.streams[subjects.WORK].consumers
    missing = consumers.pop("llm")
    worker = Worker(server)
    async with worker.running():
        await worker.bus.store(WORK, work(5))
        consumers["llm"] = missing
        await until(lambda: worker.done == [5], "done after provisioning")
        server.down = True
        await until(lambda: not waiting(server), "acked before the outage")
        server.down = False
        await worker.bus.store(WORK, work(6))
        await until(lambda: worker.done == [5, 6], "done after the outage")


async def test_stop_is_heard_without_a_consumer(server: MemoryServer) -> None:
    server.streams[subjects.WORK].consumers.clear()
    worker = Worker(server)
    async with worker.running():
        pass


def spent(outcome: str) -> float:
    """Seconds of work that ended so."""
    return float(stage.WORK_SECONDS.labels("llm", outcome)._sum.get())


async def cancel(server: MemoryServer, *, epoch: int, session_id: str = SID) -> None:
    data = pb.Cancel(session_id=session_id, epoch=epoch).SerializeToString()
    await server.connect().publish(subjects.cancel(session_id), data)
