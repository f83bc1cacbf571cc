"""The person's connection is lost and comes back: the conversation is as it was."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.chaos.conftest import WORDS
from tests.support.caller import Caller
from tests.support.conversation import Match, Talk, World, is_kind, talk
from tests.support.elsewhere import Elsewhere, elsewhere
from tests.support.openai_server import Reply
from tests.support.utterance import Spoken
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
]

AWAY_S = 18.0
AT_ONCE_S = 1.0
QUESTION = "Could you please tell me some more?"
LONG = (
    "Boats come down from the mountains with wood and stone. The people on the shore wave at them. "
    "In the evening the lamps are lit, and the children go home."
)
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


async def killed(one: Talk, there: Elsewhere, away_s: float) -> None:
    """Without a word; back on another machine with the same token."""
    there.process.kill()
    await asyncio.sleep(away_s)
    one.caller = await Caller.join(one.created.livekit_url, one.created.participant_token)
    await one.seated()
    await _asked(one, turn=2)


@pytest.mark.parametrize("away_s", [AWAY_S, AT_ONCE_S], ids=["killed", "killed, at once back"])
async def test_whoever_is_lost_without_a_word_comes_back(world: World, away_s: float) -> None:
    """LiveKit notices nothing for 20 s (tried, 1.13.5): the new connection replaces the old one."""
    async with talk(world) as one:
        world.model.replies.clear()
        try:
            await one.seated()
            world.model.replies.extend([Reply("A river is water."), Reply("It goes to the sea.")])
            async with elsewhere(one) as there:
                await there.say(QUESTION)
                assert (await one.over(1)).step == COMPLETED
                await killed(one, there, away_s)
                outcome = await one.over(2)
            assert (outcome.step, outcome.heard_text) == (COMPLETED, "It goes to the sea.")
            answer = ("assistant", "A river is water.")
            asked = world.model.requests[-1].messages[1:]
            assert asked == [("user", WORDS), answer, ("user", WORDS)]
            assert not one.errors
            assert (await world.api.get(one.session_id)).state == api.SESSION_STATE_ACTIVE
        finally:
            await one.caller.leave()


async def test_a_full_reconnect_in_mid_answer_interrupts_nothing(world: World) -> None:
    async with talk(world) as one:
        world.model.replies.clear()
        world.model.replies.append(Reply(LONG))
        await one.seated()
        spoken = await one.ask(QUESTION)
        recording = one.caller.recording
        await one.caller.until(lambda: recording.first_audible_after(spoken.end) is not None)
        await full_reconnect(one)
        back_at = time.monotonic()
        assert not list(one.all(_turn_over)), "in mid-answer"
        outcome = await one.over(1)
        assert (outcome.step, outcome.heard_text) == (COMPLETED, LONG)
        assert recording.first_audible_after(back_at), "and it is heard"
        assert not list(one.all(_person(api.UserEvent.STEP_LEFT)))
        assert len(list(one.all(_person(api.UserEvent.STEP_JOINED)))) == 1


def _turn_over(event: api.SessionEvent) -> bool:
    is_turn = event.WhichOneof("kind") == "turn"
    return is_turn and event.turn.step != api.TurnEvent.STEP_COMMITTED


async def _asked(one: Talk, turn: int) -> Spoken:
    """Said again when nobody heard it: on a busy machine the media may still be on its way."""
    for _ in range(3):
        spoken = await one.ask(QUESTION)
        with suppress(AssertionError):
            await one.committed(turn, within_s=8.0)
            break
    return spoken
