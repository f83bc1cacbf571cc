"""An item on which a stage's engine breaks every time: given up, told, and the session goes on."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.conftest import SETTINGS
from tests.support.conversation import Talk, World, running_world, talk
from tests.support.poisoned_worker import POISON, POISON_S
from tests.support.replicas import Replicas, replicas
from tests.support.voices import speak
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
]

STAGES = ("asr", "llm", "tts")
APOLOGY = "I am sorry, something went wrong just now. Could you say that again, please?"
ANSWER = "This is a fixed sentence."
ENGINES = {f"VISAVIS_{stage.upper()}_ENGINE": "fake" for stage in STAGES}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """Every model stage has the one worker whose engine breaks at poison."""
    chosen = SETTINGS | ENGINES | {"VISAVIS_LLM_FAKE_TEXT": ANSWER}
    async with running_world(chosen) as one:
        for stage in STAGES:
            process = one.stack.processes[stage]
            await asyncio.to_thread(process.stop)
            process.command = [sys.executable, "-m", "tests.support.poisoned_worker", stage]
            await asyncio.to_thread(process.start)
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(world: World) -> AsyncIterator[Replicas]:
    async with replicas(world.stack) as one:
        yield one


async def _poison(one: Talk, stage: str) -> int:
    """Bring something to the stage that it breaks at; the turn that it belongs to."""
    if stage == "asr":
        words = "I would like to tell you a story that is much longer than the other ones are."
        spoken = await one.caller.speak(await asyncio.to_thread(speak, words))
        assert spoken.end - spoken.start > POISON_S
        return 1
    if stage == "llm":
        await one.caller.send_chat(f"What do you think of {POISON}?")
        return 1
    return await one.say(f"This {POISON} cannot be said.")


async def _letter(crowd: Replicas, stage: str, session_id: str) -> pb.DeadLetter:
    subject = subjects.dead_letter(stage, session_id)
    stored = await crowd.bus.last(subjects.DLQ, subject, leader=True)
    assert stored, "there is no dead letter"
    return pb.DeadLetter.FromString(stored.data)


@pytest.mark.parametrize("stage", STAGES)
async def test_a_poisoned_item_costs_one_turn(world: World, crowd: Replicas, stage: str) -> None:
    async with talk(world) as one:
        await one.seated()
        turn = await _poison(one, stage)
        sorry = await one.over(turn)
        assert (sorry.step, sorry.heard_text) == (api.TurnEvent.STEP_COMPLETED, APOLOGY)
        last = one.errors[-1]
        assert (last.turn, last.apologised) == (turn, True)
        assert stage in (error.stage for error in one.errors)
        letter = await _letter(crowd, stage, one.session_id)
        assert (letter.stage, letter.error.code) == (stage, "ENGINE_FAILED")
        assert "ArithmeticError" in letter.error.message
        assert bool(letter.payload) == (stage != "asr")  # no speech in dead letters
        recording = one.caller.recording
        assert recording.last_audible_before(recording.end), "the apology was heard"
        errors = len(one.errors)
        await one.ask("Could you tell me more?")
        answered = await one.over(turn + 1)
        assert (answered.step, answered.heard_text) == (api.TurnEvent.STEP_COMPLETED, ANSWER)
        assert len(one.errors) == errors
        running = [name for name, it in world.stack.processes.items() if not it.running]
        assert not running
