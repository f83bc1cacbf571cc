"""The lease: taking it, losing it, giving it back; and the journal that it guards."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import fetched, until
from tests.unit.egress.conftest import Clock
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.journal import Journal
from visavis_egress.lease import Lease, LeaseTimes
from visavis_runtime import subjects
from visavis_runtime.bus import Guard, Receipt, WorkItem
from visavis_runtime.errors import BusUnavailable, LeaseLost

SID = "01J00000000000000000000000"
LEASE = subjects.event("lease", SID)
READY = api.SessionEvent(session=api.SessionChanged(step=api.SessionChanged.STEP_READY))
FAST = LeaseTimes(ack_wait_s=0.02)


class TroubledBus(MemoryBus):
    """`after` runs once, behind the next write to the lease's subject; its error is the answer."""

    after: Callable[[], Exception] | None = None
    before: Callable[[], None] | None = None

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
    ) -> Receipt:
        if subject == LEASE and self.before:
            before, self.before = self.before, None
            before()
        receipt = await super().store(subject, data, message_id=message_id, guard=guard)
        if subject == LEASE and self.after:
            after, self.after = self.after, None
            raise after()
        return receipt


@pytest.fixture
def bus(server: MemoryServer) -> TroubledBus:
    return TroubledBus(server)


@pytest.fixture
async def item(bus: TroubledBus) -> WorkItem:
    """The job of the session, fetched."""
    await bus.store(subjects.job(SID), b"")
    return await fetched(await bus.work(subjects.JOBS, "egress"))


def _lease(bus: MemoryBus, item: WorkItem, clock: Clock, times: LeaseTimes | None = None) -> Lease:
    return Lease(item, bus, "host-1", times or LeaseTimes(), clock)


def _is_held(lease: Lease) -> bool:
    return lease.is_held


def _write(server: MemoryServer, generation: int, instance: str, *, released: bool = False) -> int:
    """Another holder's lease event; its sequence."""
    lease = pb.Lease(instance=instance, released=released)
    record = pb.EventRecord(generation=generation, lease=lease)
    stream = server.streams[subjects.EVENTS]
    return stream.store(LEASE, record.SerializeToString(), server.clock()).sequence


async def _written(bus: MemoryBus, kind: str = "*") -> list[pb.EventRecord]:
    subject = subjects.event(kind, SID)
    stored = bus.replay(subjects.EVENTS, subject)
    return [pb.EventRecord.FromString(one.data) async for one in stored]


async def test_the_first_holder_is_generation_one(
    bus: TroubledBus, item: WorkItem, clock: Clock
) -> None:
    lease = _lease(bus, item, clock)
    await lease.take()
    assert lease.generation == 1
    assert (lease.session_id, lease.instance) == (SID, "host-1/1/1")
    last = await bus.last(subjects.EVENTS, LEASE)
    assert last
    assert lease.guard == Guard(LEASE, last.sequence)
    assert lease.time_s == last.time_s
    assert lease.job_time_s == item.time_s


@pytest.mark.parametrize("released", [False, True])
async def test_the_next_holder_is_one_more(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer, released: bool
) -> None:
    _write(server, 7, "another", released=released)
    lease = _lease(bus, item, clock)
    await lease.take()
    assert lease.generation == 8


@pytest.mark.parametrize("answer", [BusUnavailable("no answer"), LeaseLost("10071 to a retry")])
async def test_our_own_event_counts_whatever_the_answer_was(
    bus: TroubledBus, item: WorkItem, clock: Clock, answer: Exception
) -> None:
    bus.after = lambda: answer
    lease = _lease(bus, item, clock)
    await lease.take()
    assert lease.generation == 1
    assert len(await _written(bus, "lease")) == 1
    await Journal(bus, lease).event("session", READY)


async def test_a_rival_that_is_faster_once_is_succeeded(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer
) -> None:
    bus.before = lambda: void(_write(server, 1, "rival"))
    lease = _lease(bus, item, clock)
    await lease.take()
    assert lease.generation == 2


async def test_a_rival_that_is_faster_twice_has_it(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer
) -> None:
    def rival() -> None:
        bus.before = lambda: void(_write(server, 2, "rival"))
        _write(server, 1, "rival")

    bus.before = rival
    with pytest.raises(LeaseLost):
        await _lease(bus, item, clock).take()
    assert [one.generation for one in await _written(bus, "lease")] == [1, 2]


async def test_no_second_try_without_a_confirmed_renewal(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer
) -> None:
    def late() -> None:
        clock.now += 13.0
        _write(server, 1, "rival")

    bus.before = late
    with pytest.raises(LeaseLost):
        await _lease(bus, item, clock).take()
    assert len(await _written(bus, "lease")) == 1


async def test_it_runs_out_after_thirteen_twentieths_of_the_ack_wait(
    bus: TroubledBus, item: WorkItem, clock: Clock
) -> None:
    lease = _lease(bus, item, clock)
    await lease.take()
    clock.now += 12.99
    assert _is_held(lease)
    clock.now += 0.01
    assert not _is_held(lease)
    with pytest.raises(LeaseLost):
        await Journal(bus, lease).event("session", READY)
    assert not await _written(bus, "session")


def test_one_number_scales_all_waits() -> None:
    times = LeaseTimes(5.0)
    assert (times.renew_s, times.fence_s) == (0.75, 3.25)
    assert (LeaseTimes().renew_s, LeaseTimes().fence_s) == (3.0, 13.0)


async def test_renewals_keep_it(bus: TroubledBus, item: WorkItem, clock: Clock) -> None:
    lease = _lease(bus, item, clock, FAST)
    keeping = asyncio.create_task(lease.keep())
    began = clock.now
    for step in range(1, 6):
        clock.now = began + step * 0.006
        await until(lambda: lease._confirmed_at == clock.now, "renewed")
        assert lease.is_held
    keeping.cancel()


async def test_a_renewal_counts_from_its_question(
    bus: TroubledBus, item: WorkItem, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = _lease(bus, item, clock, FAST)
    asked_at = clock.now

    async def slow() -> None:
        clock.now += 0.008

    monkeypatch.setattr(item, "renew", slow)
    keeping = asyncio.create_task(lease.keep())
    await until(lambda: clock.now > asked_at, "asked")
    keeping.cancel()
    await asyncio.wait([keeping])
    assert lease._confirmed_at == asked_at


async def test_failing_renewals_lose_it(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer
) -> None:
    lease = _lease(bus, item, clock, FAST)
    server.down = True
    keeping = asyncio.create_task(lease.keep())
    await asyncio.wait([keeping], timeout=0.01)
    assert not keeping.done()
    clock.now += FAST.fence_s
    await asyncio.wait_for(keeping, 2.0)
    assert not lease.is_held


async def test_a_thawed_process_does_not_renew_what_has_run_out(
    bus: TroubledBus, item: WorkItem, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = []

    async def renew() -> None:
        renewed.append(clock.now)

    monkeypatch.setattr(item, "renew", renew)
    lease = _lease(bus, item, clock, FAST)
    keeping = asyncio.create_task(lease.keep())
    await asyncio.sleep(0)  # it sleeps now, and the process is frozen meanwhile
    clock.now += 60.0
    await asyncio.wait_for(keeping, 2.0)
    assert not renewed
    assert not lease.is_held


async def test_an_answer_that_comes_too_late_renews_nothing(
    bus: TroubledBus, item: WorkItem, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow() -> None:
        clock.now += FAST.fence_s * 0.2

    monkeypatch.setattr(item, "renew", slow)
    lease = _lease(bus, item, clock, FAST)
    clock.now += FAST.fence_s * 0.9  # the question is in time, the answer is not
    await asyncio.wait_for(lease.keep(), 2.0)
    assert not lease.is_held


async def test_a_release_hands_the_job_on_and_refuses_our_own_writes(
    bus: TroubledBus, item: WorkItem, clock: Clock
) -> None:
    lease = _lease(bus, item, clock)
    await lease.take()
    journal, guard = Journal(bus, lease), lease.guard
    await lease.release()
    taken, released = await _written(bus, "lease")
    assert (taken.generation, released.generation) == (1, 1)
    assert released.lease.released
    assert not lease.is_held
    with pytest.raises(LeaseLost):
        await journal.event("session", READY)
    with pytest.raises(LeaseLost):  # not only by our own judgement
        await bus.store(subjects.event("session", SID), b"", guard=guard)
    successor = _lease(bus, await fetched(await bus.work(subjects.JOBS, "egress")), clock)
    await successor.take()
    assert successor.generation == 2
    assert successor.instance != lease.instance


async def test_a_release_that_is_refused_hands_nothing_on(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer
) -> None:
    lease = _lease(bus, item, clock)
    await lease.take()
    _write(server, 2, "successor")
    with pytest.raises(LeaseLost):
        await lease.release()
    assert await (await bus.work(subjects.JOBS, "egress")).fetch(0.01) is None


async def test_the_end_removes_the_job(bus: TroubledBus, item: WorkItem, clock: Clock) -> None:
    await _lease(bus, item, clock).done()
    assert await bus.last(subjects.JOBS, subjects.job(SID), leader=True) is None


async def test_the_journal_writes_one_after_the_other_with_ids_of_its_generation(
    bus: TroubledBus, item: WorkItem, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = _lease(bus, item, clock)
    await lease.take()
    journal, running, ids = Journal(bus, lease), [0, 0], []
    store = MemoryBus.store

    async def watched(
        self: MemoryBus, subject: str, data: bytes, *, message_id: str, guard: Guard
    ) -> Receipt:
        ids.append((message_id, guard))
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0)
        running[0] -= 1
        return await store(self, subject, data, message_id=message_id, guard=guard)

    monkeypatch.setattr(TroubledBus, "store", watched)
    await asyncio.gather(*(journal.event("session", READY) for _ in range(20)))
    await journal.checkpoint(pb.Checkpoint(turn=3))
    await journal.event("turn", READY, message_id="named")
    assert running[1] == 1
    numbered = [f"{SID}/1/ev/{number}" for number in range(1, 22)]
    assert ids == [(name, lease.guard) for name in [*numbered, "named"]]
    written = await _written(bus)
    assert {one.generation for one in written} == {1}
    assert written[21].checkpoint.turn == 3


async def test_a_refused_write_ends_the_lease(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer
) -> None:
    lease = _lease(bus, item, clock)
    await lease.take()
    _write(server, 2, "successor")
    with pytest.raises(LeaseLost):
        await Journal(bus, lease).event("session", READY)
    assert not lease.is_held


async def test_a_bus_that_is_away_does_not(
    bus: TroubledBus, item: WorkItem, clock: Clock, server: MemoryServer
) -> None:
    lease = _lease(bus, item, clock)
    await lease.take()
    journal = Journal(bus, lease)
    server.down = True
    with pytest.raises(BusUnavailable):
        await journal.event("session", READY)
    server.down = False
    assert lease.is_held
    await journal.event("session", READY)


def void(_: object) -> None:
    """A lambda's value, dropped."""
