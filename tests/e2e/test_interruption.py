"""The person talks into an answer: it stops, and only what was heard of it is remembered."""

import wave
from collections.abc import AsyncIterator

import nats
import numpy as np
import pytest
import pytest_asyncio
import soxr

from tests.support.barge_in import NEW, OLD, BargeIn, barge_in
from tests.support.conversation import World, talk
from tests.support.listener import heard
from tests.support.openai_server import Reply
from tests.support.voices import speak
from tests.support.words import word_error_rate
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def interruption(world: World) -> AsyncIterator[BargeIn]:
    """One answer cut off, the next one heard out."""
    async with talk(world) as one:
        await one.seated()
        yield await barge_in(one, turn=1)


async def test_the_answer_falls_silent_soon_after_the_person_begins(interruption: BargeIn) -> None:
    print("barge-in: silent after", round(interruption.silence_after_s, 3))
    assert interruption.level_before_dbfs > -45, "nothing was there to be cut off"
    assert 0 < interruption.silence_after_s <= 0.6


async def test_the_turn_is_interrupted_and_keeps_what_was_heard(interruption: BargeIn) -> None:
    cut = interruption.cut
    assert cut.step == api.TurnEvent.STEP_INTERRUPTED
    assert cut.heard_text
    assert OLD.startswith(cut.heard_text)
    assert len(cut.heard_text) < len(OLD) * 0.6
    counts = len(cut.heard_text.split()), len(interruption.heard_before.split())
    print("words: by the events, by the listener", counts)
    assert abs(counts[0] - counts[1]) <= 3, interruption.heard_before


async def test_nothing_of_the_old_answer_is_heard_later(interruption: BargeIn) -> None:
    assert interruption.new.step == api.TurnEvent.STEP_COMPLETED
    assert word_error_rate(NEW, interruption.heard_after) <= 0.3, interruption.heard_after


async def test_the_next_request_has_only_what_was_heard(interruption: BargeIn) -> None:
    _, *messages = interruption.new_request
    assert messages == [
        ("user", interruption.cut.input_text),
        ("assistant", interruption.cut.heard_text),
        ("user", interruption.new.input_text),
    ]


async def test_words_before_the_first_sound_take_the_place_of_the_question(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        world.model.replies.extend((Reply(OLD, first_token_s=5.0), Reply(NEW)))
        await one.ask("Tell me something about the animals in the sea.")
        await one.committed(1)
        abandoned = world.model.requests[-1]
        await one.ask("No, I would rather know what a mouse is.")
        cut, new = await one.over(1), await one.over(2)
        assert (cut.step, cut.heard_text) == (api.TurnEvent.STEP_INTERRUPTED, "")
        assert (new.step, new.heard_text) == (api.TurnEvent.STEP_COMPLETED, NEW)
        assert abandoned.aborted.is_set(), "the model went on with what nobody waits for"
        assert [role for role, _ in world.model.requests[-1].messages] == ["system", "user"]
        assert "animals" in world.model.requests[-1].messages[1][1].lower()


async def test_late_messages_of_the_old_answer_are_not_heard(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        world.model.replies.extend((Reply(OLD, first_token_s=5.0), Reply(NEW, first_token_s=2.5)))
        await one.ask("Tell me something about the animals in the sea.")
        await one.committed(1)
        spoken = await one.ask("No, I would rather know what a mouse is.")
        await one.committed(2)
        await _send_late(world, one.session_id)
        outcome = await one.over(2)
        assert (outcome.step, outcome.heard_text) == (api.TurnEvent.STEP_COMPLETED, NEW)
        words = await heard(one.caller, spoken.end)
        assert word_error_rate(NEW, words) <= 0.3, words
        assert not one.errors


async def _send_late(world: World, session_id: str) -> None:
    """What slow workers may still publish of the first answer: its text, its sound and its end."""
    text = "Bananas are yellow."
    with wave.open(str(speak(text))) as file:
        spoken = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        samples = soxr.resample(spoken, file.getframerate(), subjects.SPEECH_RATE_HZ)
    at = pb.Address(session_id=session_id, generation=1, turn=1, epoch=subjects.epoch(1, 1))
    result = pb.GenerateResult(address=at, instance="late", sentences=[text], complete=True)
    size = subjects.SPEECH_RATE_HZ // 10
    client = await nats.connect(world.stack.layout.nats_url)
    await client.publish(subjects.result("llm", session_id), result.SerializeToString())
    for offset in range(0, len(samples), size):
        piece = pb.Speech(address=at)
        piece.chunk.sample_offset, piece.chunk.sample_rate_hz = offset, subjects.SPEECH_RATE_HZ
        piece.chunk.pcm = samples[offset : offset + size].astype("<i2").tobytes()
        await client.publish(subjects.speech(session_id), piece.SerializeToString())
    end = pb.Speech(address=at)
    end.end.samples = len(samples)
    await client.publish(subjects.speech(session_id), end.SerializeToString())
    await client.drain()
