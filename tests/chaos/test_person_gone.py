"""The person's connection is lost and comes back: the conversation is as it was."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.chaos.conftest import WORDS
from tests.support.caller import Caller
from tests.support.conversation import Match, Talk, World, is_kind, talk
from tests.support.openai_server import Reply
from tests.support.utterance import Spoken
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
]

AWAY_S = 18.0
QUESTION = "Could you please tell me some more?"
COMPLETED = api.TurnEvent.STEP_COMPLETED

Loss = Callable[[Talk], Awaitable[None]]


async def full_reconnect(one: Talk) -> None:
    """All of the connection is made anew by the SDK."""
    await one.caller.reconnect()


async def signal_lost(one: Talk) -> None:
    """The signalling alone breaks and is resumed."""
    await one.caller.reconnect(entirely=False)


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
        world.model.replies.clear()
        try:
            await one.seated()
            world.model.replies.extend([Reply("A river is water."), Reply("It goes to the sea.")])
            await one.ask(QUESTION)
            await one.over(1)
            await loss(one)
            spoken = await _asked(one, turn=2)
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


async def _asked(one: Talk, turn: int) -> Spoken:
    """Said again when nobody heard it: on a busy machine the media may still be on its way."""
    for _ in range(3):
        spoken = await one.ask(QUESTION)
        with suppress(AssertionError):
            await one.committed(turn, within_s=8.0)
            break
    return spoken
