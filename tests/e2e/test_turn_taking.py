"""When the person is done: pauses, scores, waits, drafts, missing packets, silence for long."""

import asyncio
import math
import signal
import time
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from tests.support.conversation import NOVA, Talk, World, is_kind, running_world, talk
from tests.support.elsewhere import elsewhere
from tests.support.listener import heard
from tests.support.openai_server import Reply, Request
from tests.support.recording import Samples, voiced
from tests.support.voices import speak, speak_all
from tests.support.waiting import until
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.audio,
    pytest.mark.slow,
]

COMPLETED = api.TurnEvent.STEP_COMPLETED
BEGINNING, REST = "I would like to book a table for", "four people."
PARIS = "The capital of France is Paris."
BANANAS = "Bananas are yellow and grow in warm countries."
MOUSE = "A mouse is a very small animal."
JOURNEY = "Please tell me which of the trains from the old station go to the mountains on Sunday."
GAP_S = 3.0
_GOES_ON = frozenset(("a", "and", "about", "for", "from", "of", "the", "to", "with"))


def _scored(body: dict[str, Any]) -> dict[str, Any]:
    """What a language model thinks: after "for" or "the" more comes, after most words nothing."""
    words = str(body["prompt"]).split()
    ends = 0.03 if words[-1] in _GOES_ON else 0.9
    likely = {"\n": math.log(ends), " and": math.log(1 - ends)}
    return {"choices": [{"logprobs": {"top_logprobs": [likely]}}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """All servers and services, a voice without a face, a language model that gives scores."""
    async with running_world({"VISAVIS_AVATAR": "audio_only"}) as one:
        one.model.completion = _scored
        yield one


def _taking(profile: "api.TurnTaking.Profile.ValueType") -> api.SessionOverrides:
    return api.SessionOverrides(turn_taking=api.TurnTaking(profile=profile))


async def _say_with_a_pause(one: Talk, pause_s: float) -> None:
    """A sentence with so much silence inside."""
    samples, rate_hz = await asyncio.to_thread(_paused, pause_s)
    await one.caller.speak_samples(samples, rate_hz)


def _paused(pause_s: float) -> tuple[Samples, int]:
    parts: list[Samples] = []
    for wav in speak_all((BEGINNING, REST)):
        with wave.open(str(wav)) as file:
            rate_hz = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
        first, last = voiced(samples, rate_hz)
        parts += [samples[first:last], np.zeros(round(rate_hz * pause_s), np.int16)]
    return np.concatenate(parts[:-1]), rate_hz


def _turns(one: Talk) -> dict[int, str]:
    """What was taken for a turn, by number."""
    turns = (noted.event.turn for noted in one.all(is_kind("turn")))
    return {turn.turn: turn.input_text.lower() for turn in turns}


def _endpoint_s(turn: api.TurnEvent) -> float:
    return float(turn.waterfall.endpoint.ToTimedelta().total_seconds())


async def test_a_pause_inside_a_sentence_is_no_end_and_one_after_it_is(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        await _say_with_a_pause(one, 1.1)
        paused = await one.over(1)
        assert "table" in paused.input_text.lower()
        assert "people" in paused.input_text.lower()
        await one.ask("What time do you open tomorrow?")
        finished = await one.over(2)
        assert list(_turns(one)) == [1, 2]
        print("decided after", [round(_endpoint_s(turn), 2) for turn in (paused, finished)])
        assert _endpoint_s(finished) < 2.3, "as long as for words that go on"
        assert not one.errors


async def test_the_profile_says_how_long_is_waited_and_changes_in_the_session(
    world: World,
) -> None:
    """A pause of 3 s after words that go on: longer than the quick wait, shorter than the other."""
    async with talk(world, overrides=_taking(api.TurnTaking.PROFILE_QUICK)) as one:
        await one.seated()
        await _say_with_a_pause(one, 3.0)
        await one.over(2)
        turns = _turns(one)
        assert list(turns) == [1, 2], turns
        assert "table" in turns[1]
        assert "people" in turns[2]
        patient = api.TurnTaking(profile=api.TurnTaking.PROFILE_PATIENT)
        await world.api.update(one.session_id, turn_taking=patient)
        await _say_with_a_pause(one, 3.0)
        await one.over(3)
        turns = _turns(one)
        assert list(turns) == [1, 2, 3], turns
        assert "table" in turns[3]
        assert "people" in turns[3]


def _answer(request: Request) -> Reply:
    words = request.messages[-1][1].lower()
    if "mouse" in words:
        return Reply(MOUSE)
    return Reply(BANANAS, token_s=0.5) if "fruit" in words else Reply(PARIS)


async def _attempt(world: World, number: int) -> Request:
    """The `number`-th request to the model server, from 0, those that are given up too."""
    attempts = world.model.attempts
    await until(lambda: len(attempts) > number, f"request {number}", within_s=15)
    return attempts[number]


async def test_an_answer_is_drafted_before_the_turn_is_over_or_not(world: World) -> None:
    """Waits of 2 s, so that recognition is faster on any machine."""
    wait = Duration(seconds=2)
    taking = api.TurnTaking(min_delay=wait, mid_delay=wait, max_delay=wait)
    world.model.choose = _answer
    async with talk(world, overrides=api.SessionOverrides(turn_taking=taking)) as one:
        await one.seated()
        await _is_drafted(one)
        await _is_given_up(one)
        taking.speculation = False
        await world.api.update(one.session_id, turn_taking=taking)
        await _is_not_drafted(one)
        assert not one.errors


async def _is_drafted(one: Talk) -> None:
    before = len(one.world.model.attempts)
    spoken = await one.ask("What is the capital of France?")
    draft = await _attempt(one.world, before)
    committed = await one.committed(1)
    assert draft.is_draft
    assert draft.came_at < committed.stored - 0.5
    outcome = await one.over(1)
    assert (outcome.step, outcome.heard_text) == (COMPLETED, PARIS)
    began = one.caller.recording.first_audible_after(spoken.end)
    assert began
    print("heard after the commit:", round(began - committed.stored, 2))
    assert began > committed.stored - 0.1, "a draft was heard"
    assert len(one.world.model.attempts) == before + 1, "the draft was the answer"


async def _is_given_up(one: Talk) -> None:
    before = len(one.world.model.attempts)
    spoken = await one.ask("Tell me something about fruit.")
    draft = await _attempt(one.world, before)
    assert draft.is_draft
    await one.ask("And then I would like to know what a mouse is.")
    await until(draft.aborted.is_set, "the draft is stopped")
    outcome = await one.over(2)
    assert (outcome.step, outcome.heard_text) == (COMPLETED, MOUSE)
    assert "fruit" in outcome.input_text.lower(), "all of it is one turn"
    words = await heard(one.caller, spoken.start)
    assert word_error_rate(MOUSE, words) <= 0.3, words
    assert "ananas" not in "".join(str(noted.event) for noted in one.noted)
    assert "ananas" not in one.caller.observed.said_by(one.caller.agent)


async def _is_not_drafted(one: Talk) -> None:
    before = len(one.world.model.attempts)
    await one.ask("And what is the capital of France?")
    committed = await one.committed(3)
    asked = await _attempt(one.world, before)
    assert not asked.is_draft
    assert asked.came_at >= committed.stored
    assert (await one.over(3)).heard_text == PARIS
    assert len(one.world.model.attempts) == before + 1
    assert "ananas" not in str(asked.messages), "what nobody heard is remembered"


async def test_missing_packets_in_mid_sentence_are_no_end(world: World) -> None:
    """Twice as long as this profile waits for anything."""
    async with talk(world, overrides=_taking(api.TurnTaking.PROFILE_QUICK)) as one:
        await one.seated()
        async with elsewhere(one) as there:
            await there.begin(JOURNEY)
            began = time.monotonic()
            await asyncio.sleep(1.5)  # in the middle of its four seconds
            there.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(GAP_S)
            there.process.send_signal(signal.SIGCONT)
            await there.said()
            assert time.monotonic() - began > GAP_S + 3, "there was no gap in it"
            turn = (await one.committed(1)).event.turn
            await one.over(1)
        assert list(_turns(one)) == [1], _turns(one)
        print("over the gap:", turn.input_text)
        assert "train" in turn.input_text.lower()
        assert "sunday" in turn.input_text.lower()


async def test_words_that_were_hardly_heard_are_asked_for_again_once(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        samples, rate_hz = await asyncio.to_thread(_garbled)
        await one.caller.speak_samples(samples, rate_hz)
        asked_again = await one.over(1)
        assert asked_again.origin == api.TurnEvent.ORIGIN_SAY
        assert asked_again.heard_text == NOVA.phrases.pardon
        assert not [noted for noted in one.all(is_kind("user")) if noted.event.user.text]
        await one.caller.speak_samples(samples, rate_hz)
        answered = await one.over(2)
        assert answered.origin == api.TurnEvent.ORIGIN_SPEECH, "it is not asked for ever"


def _garbled() -> tuple[Samples, int]:
    """Speech whose pieces of 120 ms run backwards: clearly a voice, and hardly words."""
    with wave.open(str(speak("I would rather know what a mouse is."))) as file:
        rate_hz = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    size = rate_hz * 120 // 1000
    whole = samples[: len(samples) // size * size]
    return whole.reshape(-1, size)[:, ::-1].ravel(), rate_hz


async def test_a_silent_person_is_asked_once_and_then_it_is_over(world: World) -> None:
    overrides = api.SessionOverrides(max_silence=Duration(seconds=3))
    overrides.turn_taking.nudge_after.seconds = 2
    async with talk(world, overrides=overrides) as one:
        nudge = await one.over(1)
        assert nudge.origin == api.TurnEvent.ORIGIN_SAY
        assert (nudge.step, nudge.heard_text) == (COMPLETED, NOVA.phrases.nudge)
        assert await one.ended() == api.END_REASON_SILENCE
        assert list(_turns(one)) == [1]
