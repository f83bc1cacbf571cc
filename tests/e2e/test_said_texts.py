"""Texts that are spoken as they are: greetings and Say."""

import asyncio

import pytest

from tests.support.conversation import NOVA, World, is_kind, talk
from tests.support.listener import heard
from tests.support.openai_server import Reply
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

GREETING = "Good evening, and welcome to the museum."
GREETED = f"{NOVA.phrases.spoken_disclosure} {GREETING}"
ANSWER = "The oldest painting hangs in the first room. It shows a boat on a quiet lake."
SAID = "The doors will close in ten minutes."


def joined(event: api.SessionEvent) -> bool:
    """The person came."""
    return event.user.step == api.UserEvent.STEP_JOINED


async def test_the_greeting_is_heard_from_its_first_word(world: World) -> None:
    asked = len(world.model.requests)
    async with talk(world, greeting=GREETING) as one:
        greeted, came = await one.committed(0), await one.event("joined", joined)
        assert greeted.at - came.at < 2.5, "the microphone was there"
        outcome = await one.over(0)
        assert outcome.origin == api.TurnEvent.ORIGIN_GREETING
        assert (outcome.step, outcome.heard_text) == (api.TurnEvent.STEP_COMPLETED, GREETED)
        words = await heard(one.caller)
        assert word_error_rate(GREETED, words) <= 0.2, words
        world.model.replies.append(Reply("At nine."))
        await one.ask("When do you close tonight?")
        await one.over(1)
    assert len(world.model.requests) == asked + 1
    assert world.model.requests[-1].messages[1] == ("assistant", GREETED)


async def test_without_a_microphone_the_greeting_waits_three_seconds(world: World) -> None:
    async with talk(world, greeting=GREETING, microphone=False) as one:
        greeted, came = await one.committed(0), await one.event("joined", joined)
        assert 2.5 <= greeted.at - came.at <= 4.5
        assert (await one.over(0)).heard_text == GREETED


async def test_a_say_is_spoken_once_however_often_it_is_asked_for(world: World) -> None:
    asked = len(world.model.requests)
    async with talk(world) as one:
        await one.seated()
        turns = await asyncio.gather(*(one.say(SAID, "doors") for _ in range(3)))
        outcome = await one.over(turns[0])
        turns.append(await one.say(SAID, "doors"))
        assert len(set(turns)) == 1
        assert (outcome.origin, outcome.heard_text) == (api.TurnEvent.ORIGIN_SAY, SAID)
        # A later one shows that no other was waiting in between.
        other = await one.say("Thank you.", "thanks")
        assert (await one.over(other)).heard_text == "Thank you."
        words = await heard(one.caller)
        assert word_error_rate(f"{SAID} Thank you.", words) <= 0.25, words
        over = [
            noted.event.turn
            for noted in one.all(is_kind("turn"))
            if noted.event.turn.step == api.TurnEvent.STEP_COMPLETED
        ]
        assert [turn.input_text for turn in over] == [SAID, "Thank you."]
    assert len(world.model.requests) == asked, "the model was asked for a given text"


async def test_a_say_waits_for_the_answer_that_is_being_spoken(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        world.model.replies.append(Reply(ANSWER))
        spoken = await one.ask("Where is the oldest painting?")
        recording = one.caller.recording
        await one.caller.until(lambda: recording.first_audible_after(spoken.end) is not None, 15)
        turn = await one.say(SAID)
        answered, said = await one.over(1), await one.over(turn)
        assert (answered.step, answered.heard_text) == (api.TurnEvent.STEP_COMPLETED, ANSWER)
        assert said.heard_text == SAID
        words = await heard(one.caller)
        assert word_error_rate(f"{ANSWER} {SAID}", words) <= 0.2, words
