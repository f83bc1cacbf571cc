"""The lease in earnest: real NATS, real LiveKit, egress processes that freeze and thaw."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.conversation import Talk, World, is_avatar, running_world, talk
from tests.support.replicas import Replicas, replicas
from tests.support.waiting import until
from tests.support.workers import metric
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_local.processes import ServerProcess
from visavis_runtime import subjects

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
]

LEASE_S = 5.0
SETTINGS = {"VISAVIS_LEASE_SECONDS": str(LEASE_S), "VISAVIS_ASR_ENGINE": "fake"}
LONG = (
    "This is a long story about a town by the sea, where nobody was ever in a hurry. "
    "In the morning the fishermen came home, and in the evening they went out again. "
    "The children played on the beach, and the old people sat in front of their houses. "
    "One day a stranger came along the road, and everybody wanted to know his name."
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with running_world(SETTINGS) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(world: World) -> AsyncIterator[Replicas]:
    async with replicas(world.stack, SETTINGS) as one:
        await one.start("egress")
        yield one


async def _records(crowd: Replicas, session_id: str) -> list[pb.EventRecord]:
    stored = crowd.bus.replay(subjects.EVENTS, subjects.event("*", session_id))
    return [pb.EventRecord.FromString(one.data) async for one in stored]


def _avatars(one: Talk) -> set[str]:
    """Who speaks for the agent in the room now."""
    people = one.caller.room.remote_participants.values()
    return {who.identity for who in people if who.attributes.get("lk.publish_on_behalf")}


async def _watch_avatars(one: Talk, seen: list[set[str]]) -> None:
    while True:
        seen.append(_avatars(one))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("when", ["between turns", "in mid-answer"])
async def test_a_thawed_holder_writes_nothing_and_leaves(
    world: World, crowd: Replicas, when: str
) -> None:
    async with talk(world) as one:
        await one.seated()
        sid = one.session_id
        if when == "in mid-answer":
            await one.say(LONG)
            await one.event(
                "it plays", lambda event: event.agent.step == api.AgentEvent.STEP_PLAYBACK
            )
        zombie = await crowd.holder()
        seen: list[set[str]] = []
        watching = asyncio.create_task(_watch_avatars(one, seen))
        try:
            zombie.signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
            is_started = is_avatar(api.AvatarEvent.STEP_STARTED)
            await until(
                lambda: any(note.at > frozen_at + LEASE_S / 2 for note in one.all(is_started)),
                "a successor's avatar",
                within_s=20.0,
            )
            print(f"{when}: successor seated {time.monotonic() - frozen_at:.1f} s after the freeze")
            zombie.signal(signal.SIGCONT)
            await until(lambda: "session.held" in zombie.tail(50), "it was the holder")
            await _left(zombie)
        finally:
            zombie.signal(signal.SIGCONT)
            watching.cancel()
        # The session goes on with the successor, and with it alone.
        if when == "in mid-answer":
            outcome = await one.over(1, within_s=40.0)
            assert outcome.heard_text == LONG
        turn = await one.say("I am the only one here.", "after")
        assert (await one.over(turn)).heard_text == "I am the only one here."
        records = await _records(crowd, sid)
        generations = [record.generation for record in records]
        assert generations == sorted(generations), "the zombie's writes came after the successor's"
        assert generations[-1] == 2, "one take-over, not a quarrel"
        assert all(len(names) <= 1 for names in seen), seen
        assert _avatars(one) == {f"avatar-{sid}-2"}
        assert one.caller.observed.disconnect_reason is None
        assert zombie.running


async def _left(zombie: ServerProcess) -> None:
    """The thawed process has let go of the session."""
    deadline = time.monotonic() + 10.0
    while await metric(zombie, "vv_sessions "):
        assert time.monotonic() < deadline, zombie.tail(30)
        await asyncio.sleep(0.05)
