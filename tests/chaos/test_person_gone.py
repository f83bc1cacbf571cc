"""The person's connection is lost and comes back: the conversation is as it was."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from livekit import rtc

from tests.chaos.conftest import WORDS
from tests.support.caller import Caller
from tests.support.conversation import Match, Talk, World, is_kind, talk
from tests.support.openai_server import Reply
from tests.support.waiting import until
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
]

AWAY_S = 8.0
QUESTION = "Could you please tell me some more?"
COMPLETED = api.TurnEvent.STEP_COMPLETED

Loss = Callable[[Talk], Awaitable[None]]


async def _reconnect(one: Talk, kind: "rtc.SimulateScenarioKind.ValueType") -> None:
    events: list[str] = []
    room = one.caller.room
    room.on("reconnecting", lambda: events.append("reconnecting"))
    room.on("reconnected", lambda: events.append("reconnected"))
    await room.simulate_scenario(kind)
    await until(lambda: "reconnected" in events, "reconnected", within_s=20)


async def full_reconnect(one: Talk) -> None:
    """All of the connection is made anew by the SDK."""
    await _reconnect(one, rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)


async def signal_lost(one: Talk) -> None:
    """The signalling alone breaks and is resumed."""
    await _reconnect(one, rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)


async def away(one: Talk) -> None:
    """Out of the room for a while, back with the same token."""
    await one.caller.leave()
    await one.event("the person has left", _person(api.UserEvent.STEP_LEFT))
    await asyncio.sleep(AWAY_S)
    created = one.created
    one.caller = await Caller.join(created.livekit_url, created.participant_token)
    await one.seated()


def _person(step: "api.UserEvent.Step.ValueType") -> Match:
    return lambda event: event.WhichOneof("kind") == "user" and event.user.step == step


@pytest.mark.parametrize(
    "loss", [full_reconnect, signal_lost, away], ids=["full reconnect", "signal lost", "away"]
)
async def test_the_conversation_is_as_it_was(world: World, loss: Loss) -> None:
    async with talk(world) as one:
        try:
            await one.seated()
            world.model.replies.extend([Reply("A river is water."), Reply("It goes to the sea.")])
            await one.ask(QUESTION)
            await one.over(1)
            await loss(one)
            spoken = await one.ask(QUESTION)
            outcome = await one.over(2)
            assert (outcome.step, outcome.heard_text) == (COMPLETED, "It goes to the sea.")
            assert one.caller.recording.first_audible_after(spoken.end), "it was heard, too"
            asked = world.model.requests[-1].messages[1:]
            answer = ("assistant", "A river is water.")
            assert asked == [("user", WORDS), answer, ("user", WORDS)]
            assert not one.errors
            said = [noted.event.user.text for noted in one.all(is_kind("user"))]
            assert [text for text in said if text] == [WORDS, WORDS]
            assert (await world.api.get(one.session_id)).state == api.SESSION_STATE_ACTIVE
        finally:
            await one.caller.leave()
