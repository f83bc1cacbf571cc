"""Push-to-talk in a whole system: a turn is what is said while the button is held."""

import asyncio
import time

import pytest

from tests.support.caller import Caller
from tests.support.conversation import Talk, World, is_kind
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

ASIDE = "I wonder whether anybody listens to this."
BEGINNING = "Please tell me something about the moon."
REST = "And then something about the sun."
TURN = "visavis.turn"


async def test_only_what_is_said_while_it_is_held_is_a_turn(world: World) -> None:
    overrides = api.SessionOverrides(greeting="", disclosure=False)
    overrides.turn_taking.profile = api.TurnTaking.PROFILE_MANUAL
    created = await world.api.create("nova", overrides=overrides)
    async with await Caller.join(created.livekit_url, created.participant_token) as caller:
        one = Talk(world, created, caller)
        try:
            await _converse(one)
        except Exception as error:
            error.add_note(one.story())
            raise
        finally:
            await one.aclose()


async def _converse(one: Talk) -> None:
    off = await one.event("the disclosure is off", is_kind("character"))
    assert off.event.character.phrase == "disclosure"
    await one.seated()
    await one.ask(ASIDE)
    await asyncio.sleep(3.0)  # longer than any profile waits
    assert not list(one.all(is_kind("turn")))
    await one.caller.call(TURN, "start")
    # A pause that would end any other turn.
    await one.ask(BEGINNING)
    await asyncio.sleep(3.0)
    assert not list(one.all(is_kind("turn")))
    await one.ask(REST)
    # What is said last is still on its way when the call is there.
    await one.caller.call(TURN, "end")
    released = time.monotonic()
    committed = await one.event("a turn", is_kind("turn"))
    assert committed.at - released < 8  # most of it is a busy machine's recognition
    words = committed.event.turn.input_text.lower()
    assert "moon" in words, words
    assert "sun" in words, words
    assert "anybody" not in words, words
    assert committed.event.turn.turn == 1
    outcome = await one.over(1)
    assert outcome.step == api.TurnEvent.STEP_COMPLETED
    assert outcome.heard_text
