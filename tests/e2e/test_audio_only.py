"""Without a face: the agent's own track carries the voice, and all else is the same."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from livekit import api as livekit

from tests.support.barge_in import NEW, OLD, BargeIn, barge_in
from tests.support.conversation import Talk, room_admin, running_world, talk
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

ANSWER = "The train leaves the station at seven. Please bring a warm coat and some water."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one() -> AsyncIterator[Talk]:
    """A session in a system without faces."""
    async with running_world({"VISAVIS_AVATAR": "audio_only"}) as world, talk(world) as talking:
        await talking.seated()
        yield talking


async def test_the_answer_is_heard_from_the_agents_own_track(one: Talk) -> None:
    assert one.created.session.avatar.mode == "audio_only"
    one.world.model.replies.append(Reply(ANSWER))
    spoken = await one.ask("When does the train leave?")
    outcome = await one.over(1)
    assert (outcome.step, outcome.heard_text) == (api.TurnEvent.STEP_COMPLETED, ANSWER)
    recording = one.caller.recording
    words = await heard(one.caller, spoken.end)
    began = recording.first_audible_after(spoken.end)
    assert began
    print("voice to voice", round(began - spoken.end, 2))
    assert word_error_rate(ANSWER, words) <= 0.2, words
    async with room_admin(one.world) as admin:
        ask = livekit.ListParticipantsRequest(room=one.session_id)
        found = (await admin.room.list_participants(ask)).participants
    tracks = {participant.identity: len(participant.tracks) for participant in found}
    assert tracks == {f"agent-{one.session_id}": 1, f"person-{one.session_id}": 1}


async def test_the_person_can_cut_it_off(one: Talk) -> None:
    cut = await barge_in(one, turn=2)
    _check(cut)
    assert not one.errors


def _check(cut: BargeIn) -> None:
    print("barge-in: silent after", round(cut.silence_after_s, 3))
    assert cut.level_before_dbfs > -45
    assert 0 < cut.silence_after_s <= 0.6
    assert cut.cut.step == api.TurnEvent.STEP_INTERRUPTED
    assert OLD.startswith(cut.cut.heard_text)
    assert abs(len(cut.cut.heard_text.split()) - len(cut.heard_before.split())) <= 3
    assert word_error_rate(NEW, cut.heard_after) <= 0.3
    assert ("assistant", cut.cut.heard_text) in cut.new_request
