"""The lease on a real server: who is late is refused, who holds it writes on, a release is fast."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from deploy.nats.provision import provision
from tests.support.servers import running_nats, running_nats_cluster
from tests.support.waiting import fetched
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.journal import Journal
from visavis_egress.lease import Lease, LeaseTimes, monotonic
from visavis_runtime import nats_bus, subjects
from visavis_runtime.bus import Bus, WorkItem
from visavis_runtime.errors import LeaseLost

pytestmark = pytest.mark.timeout(60)

SID = "01J00000000000000000000000"
READY = api.SessionEvent(session=api.SessionChanged(step=api.SessionChanged.STEP_READY))
TIMES = LeaseTimes(2.0)

Connect = Callable[[], Awaitable[Bus]]


@asynccontextmanager
async def _connections(url: str) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect() -> Bus:
            bus = await nats_bus.NatsBus().connect(url, name="test")
            stack.push_async_callback(bus.aclose)
            return bus

        yield connect


@pytest.fixture(params=["one node", pytest.param("cluster", marks=pytest.mark.cluster)])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Connections to a provisioned server, or to three of them with three copies."""
    if request.param == "cluster":
        async with running_nats_cluster() as nodes:
            await provision(nodes[0].url, replicas=3, lease_s=TIMES.ack_wait_s)
            async with _connections(nodes[-1].url) as connections:
                yield connections
    else:
        async with running_nats() as server:
            await provision(server.url, lease_s=TIMES.ack_wait_s)
            async with _connections(server.url) as connections:
                yield connections


def _stands_still() -> float:
    """The clock of a process that does not know that it was frozen."""
    return 0.0


async def _take(bus: Bus, item: WorkItem, clock: Callable[[], float] = monotonic) -> Lease:
    lease = Lease(item, bus, "host", TIMES, clock)
    await lease.take()
    return lease


async def test_a_zombie_is_refused_and_the_healthy_holder_writes_on(connect: Connect) -> None:
    old, new = await connect(), await connect()
    await old.store(subjects.job(SID), b"")
    zombie = await _take(old, await fetched(await old.work(subjects.JOBS, "egress")), _stands_still)
    late = Journal(old, zombie)
    await late.event("session", READY)
    # It renews nothing: after the ack wait the next one has it.
    began = time.monotonic()
    item = await fetched(await new.work(subjects.JOBS, "egress"))
    assert TIMES.fence_s < time.monotonic() - began < TIMES.ack_wait_s + 1.0
    healthy = await _take(new, item)
    assert (zombie.generation, healthy.generation) == (1, 2)
    keeping = asyncio.create_task(healthy.keep())
    writes = Journal(new, healthy)
    outcomes = await asyncio.gather(
        *(writes.event("session", READY) for _ in range(50)),
        *(late.event("session", READY) for _ in range(5)),
        *(writes.checkpoint(pb.Checkpoint(turn=number)) for number in range(50)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, LeaseLost) for outcome in outcomes) == 5
    assert not any(isinstance(outcome, BaseException) for outcome in outcomes[:50] + outcomes[55:])
    with pytest.raises(LeaseLost):
        await zombie.release()
    stored = new.replay(subjects.EVENTS, subjects.event("*", SID))
    generations = [pb.EventRecord.FromString(one.data).generation async for one in stored]
    assert generations == [1, 1] + [2] * 101
    # Nor did it shake the healthy one's hold.
    await asyncio.sleep(TIMES.ack_wait_s)
    assert healthy.is_held
    assert await (await old.work(subjects.JOBS, "egress")).fetch(0.2) is None
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_released_session_moves_at_once(connect: Connect) -> None:
    leaving, waiting = await connect(), await connect()
    await leaving.store(subjects.job(SID), b"")
    lease = await _take(leaving, await fetched(await leaving.work(subjects.JOBS, "egress")))
    queue = await waiting.work(subjects.JOBS, "egress")
    fetching = asyncio.create_task(fetched(queue))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await lease.release()
    item = await fetching
    took = time.monotonic() - began
    assert took <= 1.0  # a millisecond or two; without the release it is the whole ack wait
    successor = await _take(waiting, item)
    assert successor.generation == 2
    with pytest.raises(LeaseLost):
        await leaving.store(subjects.event("session", SID), b"", guard=lease.guard)


async def test_of_takers_at_once_each_has_a_generation_of_its_own(connect: Connect) -> None:
    """A redelivery may put the job into two hands: the later lease event fences the earlier."""
    buses = [await connect() for _ in range(3)]
    await buses[0].store(subjects.job(SID), b"")
    item = await fetched(await buses[0].work(subjects.JOBS, "egress"))
    takers = [
        Lease(item, bus, f"host-{number}", TIMES, monotonic) for number, bus in enumerate(buses)
    ]
    outcomes = await asyncio.gather(*(one.take() for one in takers), return_exceptions=True)
    held = [one for one, outcome in zip(takers, outcomes, strict=True) if outcome is None]
    assert held
    assert len({one.generation for one in held}) == len(held)
    newest = max(held, key=lambda one: one.generation)
    for one in held:
        journal = Journal(buses[takers.index(one)], one)
        if one is newest:
            await journal.event("session", READY)
        else:
            with pytest.raises(LeaseLost):
                await journal.event("session", READY)
