"""Two workers speak one answer: its sentences come as they are ready and are played in order."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.conversation import World, is_kind, running_world, talk
from tests.support.replicas import replicas
from tests.support.workers import until_settled
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90), pytest.mark.slow]

SENTENCES = [f"This is sentence number {word}." for word in ("one", "two", "three", "four")]
SLOW = {"VISAVIS_TTS_ENGINE": "fake", "VISAVIS_TTS_FAKE_DELAY_S": "2.0"}
QUICK = {"VISAVIS_TTS_ENGINE": "fake", "VISAVIS_TTS_FAKE_DELAY_S": "0.3"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with running_world({"VISAVIS_AVATAR": "audio_only", **SLOW}) as one:
        yield one


async def test_sound_that_comes_in_any_order_is_played_in_order(world: World) -> None:
    async with replicas(world.stack, QUICK) as crowd, talk(world) as one:
        await crowd.start("tts")
        await one.seated()
        await until_settled(world.stack.processes["tts"])  # the apology, spoken in advance
        asked_at = time.monotonic()
        turn = await one.say(" ".join(SENTENCES))
        outcome = await one.over(turn)
        subject = subjects.speech(one.session_id)
        stored = [it async for it in crowd.bus.replay(subjects.SPEECH, subject)]
        pieces = [pb.Speech.FromString(it.data) for it in stored]
        ends = [it.sentence for it in pieces if it.address.turn == turn and it.HasField("end")]
        assert sorted(ends) == [0, 1, 2, 3]
        assert ends != sorted(ends), "the slow worker's sentence came after a later one"
        assert (outcome.step, outcome.heard_text) == (
            api.TurnEvent.STEP_COMPLETED,
            " ".join(SENTENCES),
        )
        agent = [it.event.agent for it in one.all(is_kind("agent")) if it.event.agent.turn == turn]
        for step in (api.AgentEvent.STEP_TEXT, api.AgentEvent.STEP_PLAYBACK):
            assert [it.sentence for it in agent if it.step == step] == [0, 1, 2, 3]
        texts = [it.text for it in agent if it.step == api.AgentEvent.STEP_TEXT]
        assert texts == SENTENCES
        assert not one.errors
        sound_s = sum(0.06 * len(sentence) for sentence in SENTENCES)
        print(f"{sound_s:.1f} s of speech were over after {time.monotonic() - asked_at:.1f} s")
