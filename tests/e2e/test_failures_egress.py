"""Whoever holds a session may die, freeze or leave: the person stays, the conversation goes on."""

import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.conversation import Talk, World, is_avatar, is_kind, running_world, talk
from tests.support.openai_server import Reply
from tests.support.replicas import Replicas, replicas
from tests.support.waiting import until
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
]

LEASE_S = 5.0
SETTINGS = {
    "VISAVIS_LEASE_SECONDS": str(LEASE_S),
    "VISAVIS_ASR_ENGINE": "fake",
    "VISAVIS_ASR_FAKE_TEXT": "Tell me more.",
}
QUESTION = "Could you please tell me some more?"
LONG = (
    "The river is long and quiet in the morning. Boats come down from the mountains. "
    "The people on the shore wave at them. In the evening the lamps are lit. "
    "Then the town goes to sleep."
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with running_world(SETTINGS) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(world: World) -> AsyncIterator[Replicas]:
    async with replicas(world.stack, SETTINGS) as one:
        yield one


async def _two_holders(crowd: Replicas) -> None:
    while len(crowd.of("egress")) < 2:
        await crowd.start("egress")


async def _leases(crowd: Replicas, session_id: str) -> list[pb.EventRecord]:
    stored = crowd.bus.replay(subjects.EVENTS, subjects.event("lease", session_id))
    return [pb.EventRecord.FromString(one.data) async for one in stored]


async def _seated_again(one: Talk, since: float) -> None:
    """A successor's avatar can speak, and the agent says that it listens."""
    is_started = is_avatar(api.AvatarEvent.STEP_STARTED)
    await until(lambda: any(note.at > since for note in one.all(is_started)), "seated", within_s=15)
    await one.seated()


async def test_a_holder_killed_between_turns_is_succeeded(world: World, crowd: Replicas) -> None:
    await _two_holders(crowd)
    world.model.replies.extend([Reply("A river is water."), Reply("It goes to the sea.")])
    async with talk(world) as one:
        await one.seated()
        await one.ask(QUESTION)
        await one.over(1)
        (await crowd.holder()).kill()
        killed_at = time.monotonic()
        await crowd.holder()
        took = time.monotonic() - killed_at
        assert took <= LEASE_S + 2.0
        await _seated_again(one, killed_at)
        await one.ask(QUESTION)
        outcome = await one.over(2)
        assert outcome.heard_text == "It goes to the sea."
        assert one.caller.observed.disconnect_reason is None
        asked = world.model.requests[-1].messages[1:]
        assert asked == [
            ("user", "Tell me more."),
            ("assistant", "A river is water."),
            ("user", "Tell me more."),
        ]
        assert [one.generation for one in await _leases(crowd, one.session_id)] == [1, 2]
        assert not one.errors
        print(f"taken over {took:.2f} s after the kill")


async def test_a_holder_killed_in_mid_answer_is_succeeded_and_nothing_is_doubled(
    world: World, crowd: Replicas
) -> None:
    await _two_holders(crowd)
    world.model.replies.extend([Reply(LONG), Reply("Good night.")])
    async with talk(world) as one:
        await one.seated()
        await one.ask(QUESTION)
        await one.event(
            "the second sentence plays",
            lambda event: (
                event.agent.step == api.AgentEvent.STEP_PLAYBACK and event.agent.sentence == 1
            ),
        )
        (await crowd.holder()).kill()
        outcome = await one.over(1, within_s=40.0)
        assert outcome.heard_text == LONG
        assert outcome.step == api.TurnEvent.STEP_COMPLETED
        asked_before = len(world.model.requests)
        await one.ask(QUESTION)
        await one.over(2)
        assert len(world.model.requests) == asked_before + 1
        asked = world.model.requests[-1].messages[1:]
        assert asked == [("user", "Tell me more."), ("assistant", LONG), ("user", "Tell me more.")]
        for number in (1, 2):
            turns = [
                note.event.turn.step
                for note in one.all(is_kind("turn"))
                if note.event.turn.turn == number
            ]
            assert turns == [api.TurnEvent.STEP_COMMITTED, api.TurnEvent.STEP_COMPLETED]
        repeated = [
            note.event.agent for note in one.all(is_kind("agent")) if note.event.agent.repeated
        ]
        assert repeated, "the sentence that was cut is spoken again, and says so"
        assert one.caller.observed.disconnect_reason is None


async def test_a_holder_that_is_told_to_leave_hands_over_quickly(
    world: World, crowd: Replicas
) -> None:
    await _two_holders(crowd)
    world.model.replies.append(Reply("I am somebody else now."))
    async with talk(world) as one:
        await one.seated()
        leaving = await crowd.holder()
        leaving.signal(signal.SIGTERM)
        told_at = time.monotonic()
        await crowd.holder(other_than=leaving)
        took = time.monotonic() - told_at
        print(f"handed over {took:.2f} s after SIGTERM")
        assert took <= 1.0
        await _seated_again(one, told_at)
        await one.ask(QUESTION)
        assert (await one.over(1)).heard_text == "I am somebody else now."
        assert one.caller.observed.disconnect_reason is None
        leases = await _leases(crowd, one.session_id)
        assert [(it.generation, it.lease.released) for it in leases] == [
            (1, False),
            (1, True),
            (2, False),
        ]
        await until(lambda: not leaving.running, "it has gone", within_s=10.0)
        assert leaving.exit_status == 0
