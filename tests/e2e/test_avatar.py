"""The face is lost or refused: the person hears the answer all the same, or is let go."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from livekit import api as livekit

from tests.support.conversation import Talk, World, is_avatar, room_admin, talk
from tests.support.listener import heard
from tests.support.openai_server import Reply
from tests.support.sim import Sim
from tests.support.waiting import until
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

ANSWER = (
    "The old clock in the tower stopped at noon. Nobody in the town knew how to repair it. "
    "Then a young woman climbed up with a lamp and a small box of tools."
)
STARTED, LOST = api.AvatarEvent.STEP_STARTED, api.AvatarEvent.STEP_LOST
FALLBACK = api.AvatarEvent.STEP_FALLBACK


@pytest_asyncio.fixture(loop_scope="module")
async def sim(world: World) -> AsyncIterator[Sim]:
    """motion_sim, serving well again afterwards."""
    one = Sim(world.stack.layout.motion_sim_url)
    yield one
    await one.reset()


async def publishers(one: Talk) -> dict[str, int]:
    """Identity and number of tracks of everybody in the room."""
    async with room_admin(one.world) as admin:
        ask = livekit.ListParticipantsRequest(room=one.session_id)
        found = await admin.room.list_participants(ask)
    return {participant.identity: len(participant.tracks) for participant in found.participants}


async def test_a_connection_lost_in_mid_sentence_is_rebuilt_and_the_rest_spoken(
    world: World, sim: Sim
) -> None:
    async with talk(world) as one:
        await one.seated()
        world.model.replies.append(Reply(ANSWER))
        spoken = await one.ask("Tell me a story about a clock.")
        recording = one.caller.recording
        await one.caller.until(lambda: recording.first_audible_after(spoken.end) is not None, 15)
        began = recording.first_audible_after(spoken.end)
        assert began
        await one.caller.until(lambda: recording.end > began + 3.2)
        error = {"code": 13, "message": "worker restarts", "req_id": "request-7"}
        assert await sim.order(error=error, close="drop") >= 1
        outcome = await one.over(1)
        assert (outcome.step, outcome.heard_text) == (api.TurnEvent.STEP_COMPLETED, ANSWER)
        words = await heard(one.caller, spoken.end)
        print("over the seam:", word_error_rate(ANSWER, words), words)
        # A word or two at the seam may be heard twice or not at all.
        assert word_error_rate(ANSWER, words) <= 0.25, words
        lost = [noted.event.avatar for noted in one.all(is_avatar(LOST))]
        started = [noted.event.avatar for noted in one.all(is_avatar(STARTED))]
        assert [event.request_id for event in lost] == ["request-7"]
        assert lost[0].code
        assert lost[0].connection_id == started[0].connection_id
        assert started[1].connection_id not in ("", started[0].connection_id)
        assert not one.errors
        assert (await publishers(one))[f"agent-{one.session_id}"] == 0


async def test_a_connection_that_idles_out_is_rebuilt_before_it_is_needed(
    world: World, sim: Sim
) -> None:
    async with talk(world) as one:
        await one.seated()
        assert await sim.order(close="idle") == 1
        await until(lambda: len(list(one.all(is_avatar(STARTED)))) == 2, "rebuilt", within_s=10)
        turn = await one.say("Here I am again.")
        outcome = await one.over(turn)
        assert outcome.heard_text == "Here I am again."
        assert word_error_rate("Here I am again.", await heard(one.caller)) <= 0.3


async def test_when_the_vendor_refuses_the_voice_goes_on_alone(world: World, sim: Sim) -> None:
    await sim.order(refuse_next={"code": 4001, "message": "credits exhausted"})
    async with talk(world) as one:
        event = (await one.event("the fallback", is_avatar(FALLBACK))).event.avatar
        assert event.fallback == api.AVATAR_FALLBACK_AUDIO_ONLY
        assert event.code == "creditsExhausted"
        assert event.connection_id.startswith("sim-")
        await one.seated()
        world.model.replies.append(Reply("You can hear me, but you cannot see me."))
        spoken = await one.ask("Can I see you?")
        outcome = await one.over(1)
        assert outcome.step == api.TurnEvent.STEP_COMPLETED
        assert word_error_rate(outcome.heard_text, await heard(one.caller, spoken.end)) <= 0.3
        agent, person = f"agent-{one.session_id}", f"person-{one.session_id}"
        assert await publishers(one) == {agent: 1, person: 1}
        assert (await world.api.get(one.session_id)).state == api.SESSION_STATE_ACTIVE


async def test_a_character_that_needs_its_face_ends_without_it(world: World, sim: Sim) -> None:
    await sim.order(refuse_next={"code": 4001, "message": "credits exhausted"})
    async with talk(world, avatar_fallback=api.AVATAR_FALLBACK_END) as one:
        assert await one.ended() == api.END_REASON_AVATAR_FAILED
        event = (await one.event("the fallback", is_avatar(FALLBACK))).event.avatar
        assert (event.code, event.fallback) == ("creditsExhausted", api.AVATAR_FALLBACK_END)
        await one.caller.until(lambda: one.caller.observed.disconnect_reason is not None)
        session = await world.api.get(one.session_id)
        assert session.state == api.SESSION_STATE_ENDED
        assert session.end_reason == api.END_REASON_AVATAR_FAILED
