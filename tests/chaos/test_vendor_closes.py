"""The avatar's vendor ends idle and long connections: the next answer is not later for it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.conftest import SETTINGS
from tests.support.conversation import Talk, World, is_avatar, running_world, talk
from tests.support.openai_server import Reply
from tests.support.sim import Sim
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow,
]

BEFORE = 10
JITTER_S = 0.04
"""Two frames: the recording places a sound no better."""
QUESTION = "And what is it now?"
STARTED, LOST = api.AvatarEvent.STEP_STARTED, api.AvatarEvent.STEP_LOST


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """Scripted engines: what differs between two answers is the avatar alone."""
    async with running_world(SETTINGS | {"VISAVIS_TTS_ENGINE": "fake"}) as one:
        one.model.choose = lambda _: Reply("So it is.")
        yield one


async def _voice_to_voice(one: Talk, turn: int) -> float:
    """From the end of the question to the first sound of the answer."""
    spoken = await one.ask(QUESTION)
    outcome = await one.over(turn)
    assert (outcome.step, outcome.heard_text) == (api.TurnEvent.STEP_COMPLETED, "So it is.")
    recording = one.caller.recording
    began = recording.first_audible_after(spoken.end)
    assert began, "nothing was heard"
    await one.caller.until(lambda: recording.silent_from(recording.end - 0.3) is not None)
    return began - spoken.end


async def test_the_next_answer_is_no_later_than_the_slowest_before(world: World) -> None:
    sim = Sim(world.stack.layout.motion_sim_url)
    async with talk(world) as one:
        await one.seated()
        took = [await _voice_to_voice(one, turn) for turn in range(1, BEFORE + 1)]
        print("before:", [round(seconds, 2) for seconds in took])
        slowest = max(took)
        turn = BEFORE + 1
        for close in ("idle", "duration"):
            # At once into the question: the connection is gone when the person begins.
            assert await sim.order(close=close) == 1
            seconds = await _voice_to_voice(one, turn)
            print(f"after {close}: {seconds:.2f}")
            assert seconds <= slowest + JITTER_S
            turn += 1
        lost = [noted.event.avatar.code for noted in one.all(is_avatar(LOST))]
        assert lost == ["idleTimeout", "sessionDurationExceeded"]
        assert len(list(one.all(is_avatar(STARTED)))) == 3
        assert not one.errors
