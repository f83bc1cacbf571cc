"""The guard, the session store and durable writes on three nodes with three replicas."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import nats
import pytest
import pytest_asyncio

from deploy.nats.provision import provision
from tests.support.servers import NatsServer, running_nats_cluster
from visavis_runtime import nats_bus, subjects
from visavis_runtime.bus import Entry, Guard, Stored
from visavis_runtime.errors import LeaseLost, WrongRevision
from visavis_runtime.nats_bus import NatsBus

# One cluster for all, the killed node last: a start takes seconds.
pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Cluster:
    """Three nodes, and a connection to each."""

    nodes: list[NatsServer]
    buses: list[NatsBus]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """Provisioned with three replicas."""
    async with running_nats_cluster() as nodes, AsyncExitStack() as stack:
        await provision(nodes[0].url, replicas=3)
        buses = [await nats_bus.NatsBus().connect(node.url, name="cluster") for node in nodes]
        for bus in buses:
            stack.push_async_callback(bus.aclose)
        yield Cluster(nodes, buses)


async def _take_lease(bus: NatsBus, session_id: str, last: int) -> Guard:
    lease = subjects.event("lease", session_id)
    return Guard(lease, (await bus.store(lease, b"taken", guard=Guard(lease, last))).sequence)


async def _kept(bus: NatsBus, subject: str, count: int) -> list[Stored]:
    """At least `count` messages of a subject: a replica may lag behind the leader's answer."""
    async with asyncio.timeout(10):
        while True:
            kept = [stored async for stored in bus.replay(subjects.EVENTS, subject)]
            if len(kept) >= count:
                return kept
            await asyncio.sleep(0.05)


async def test_streams_have_three_replicas_and_speech_one_in_memory(cluster: Cluster) -> None:
    client = await nats.connect(cluster.nodes[0].url)
    streams = await client.jetstream().streams_info()
    await client.close()
    replicas = {stream.config.name: stream.config.num_replicas for stream in streams}
    assert replicas.pop(subjects.SPEECH) == 1
    assert set(replicas.values()) == {3}
    (speech,) = (s for s in streams if s.config.name == subjects.SPEECH)
    assert speech.config.storage == "memory"


async def test_a_zombie_is_refused_and_the_healthy_holder_writes_on(cluster: Cluster) -> None:
    zombie, healthy, _ = cluster.buses
    turn = subjects.event("turn", "zombie")
    old = await _take_lease(zombie, "zombie", 0)
    await zombie.store(turn, b"1", message_id="zombie/1/ev/1", guard=old)
    new = await _take_lease(healthy, "zombie", old.sequence)
    for number in range(5):
        with pytest.raises(LeaseLost):
            await zombie.store(turn, b"z", message_id=f"zombie/1/ev/{number + 2}", guard=old)
        await healthy.store(turn, b"2", message_id=f"zombie/2/ev/{number}", guard=new)
    kept = await _kept(healthy, turn, 6)
    assert [stored.data for stored in kept] == [b"1"] + [b"2"] * 5


async def test_writes_one_after_another_on_one_guard_all_arrive(cluster: Cluster) -> None:
    bus, turn = cluster.buses[1], subjects.event("turn", "queue")
    guard = await _take_lease(bus, "queue", 0)
    one_at_a_time = asyncio.Lock()  # the holder's queue

    async def write(number: int) -> None:
        async with one_at_a_time:
            data, message_id = str(number).encode(), f"queue/1/ev/{number}"
            await bus.store(turn, data, message_id=message_id, guard=guard)

    await asyncio.gather(*(write(number) for number in range(100)))
    kept = await _kept(bus, turn, 100)
    assert Counter(int(stored.data) for stored in kept) == Counter(range(100))


async def test_writes_at_once_on_one_guard_are_repeated_until_all_arrive(
    cluster: Cluster,
) -> None:
    bus, turn = cluster.buses[2], subjects.event("turn", "atonce")
    guard = await _take_lease(bus, "atonce", 0)
    ids = [f"atonce/1/ev/{number}" for number in range(30)]
    await asyncio.gather(*(bus.store(turn, i.encode(), message_id=i, guard=guard) for i in ids))
    kept = await _kept(bus, turn, 30)
    assert Counter(stored.data.decode() for stored in kept) == Counter(ids)


async def test_of_creators_on_three_nodes_one_wins_and_a_stale_revision_loses(
    cluster: Cluster,
) -> None:
    outcomes = await asyncio.gather(
        *(bus.create("c.status", str(n).encode()) for n, bus in enumerate(cluster.buses)),
        return_exceptions=True,
    )
    (winner,) = (n for n, outcome in enumerate(outcomes) if isinstance(outcome, int))
    assert sum(isinstance(outcome, WrongRevision) for outcome in outcomes) == 2
    entry = await cluster.buses[0].read("c.status")
    assert entry
    assert entry.value == str(winner).encode()
    revision = await cluster.buses[1].update("c.status", b"ACTIVE", entry.revision)
    with pytest.raises(WrongRevision):
        await cluster.buses[2].update("c.status", b"REJECTED", entry.revision)
    assert await cluster.buses[2].read("c.status") == Entry(b"ACTIVE", revision)


async def test_a_killed_leader_loses_and_doubles_no_confirmed_event(cluster: Cluster) -> None:
    leader, others = await _leader_of_events(cluster)
    process = cluster.nodes[leader].process
    assert process
    bus, turn = cluster.buses[others[0]], subjects.event("turn", "killed")
    guard = await _take_lease(bus, "killed", 0)
    for number in range(60):
        if number == 20:
            await asyncio.to_thread(process.kill)
        await bus.store(turn, str(number).encode(), message_id=f"k/1/ev/{number}", guard=guard)
    kept = await _kept(bus, turn, 60)
    assert [int(stored.data) for stored in kept] == list(range(60))


async def _leader_of_events(cluster: Cluster) -> tuple[int, list[int]]:
    client = await nats.connect(cluster.nodes[0].url)
    info = await client.jetstream().stream_info(subjects.EVENTS)
    await client.close()
    assert info.cluster
    assert info.cluster.leader
    leader = int(info.cluster.leader.removeprefix("n"))
    return leader, [number for number in range(3) if number != leader]
