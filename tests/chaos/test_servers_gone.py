"""A server that everything needs goes away and comes back: the conversation goes on."""

import asyncio
import time

import pytest

from tests.support.caller import rejoined
from tests.support.conversation import Talk, World, is_kind, talk
from tests.support.listener import understood
from tests.support.openai_server import Reply
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(150),
    pytest.mark.audio,
    pytest.mark.slow,
]

GONE_S = 5.0
BACK_S = 20.0
QUESTION = "Could you please tell me some more?"
FIRST = "The river is long and quiet in the morning."
ANSWER = (
    "Boats come down from the mountains with wood and stone. The people on the shore wave at them. "
    "In the evening the lamps are lit, and the children go home."
)
LAST = "Then the whole town goes to sleep."
COMMITTED, COMPLETED = api.TurnEvent.STEP_COMMITTED, api.TurnEvent.STEP_COMPLETED


def _steps(one: Talk, turn: int) -> list["api.TurnEvent.Step.ValueType"]:
    turns = [noted.event.turn for noted in one.all(is_kind("turn"))]
    return [it.step for it in turns if it.turn == turn]


async def _bus_is_away(world: World) -> None:
    """Killed, and back with the same store."""
    nats = world.stack.processes["nats"]
    await asyncio.to_thread(nats.kill)
    await asyncio.sleep(GONE_S)
    await asyncio.to_thread(nats.start)


@pytest.mark.parametrize("when", ["while the model thinks", "while the answer is heard"])
async def test_the_bus_is_gone_for_five_seconds(world: World, when: str) -> None:
    async with talk(world) as one:
        await one.seated()
        thinks_s = 1.0 if "thinks" in when else 0.0
        world.model.replies.extend([Reply(FIRST), Reply(ANSWER, first_token_s=thinks_s)])
        await one.ask(QUESTION)
        await one.over(1)
        asked = len(world.model.requests)
        spoken = await one.ask(QUESTION)
        recording = one.caller.recording
        if "thinks" in when:
            await world.model.wait_for(asked + 1)
        else:
            await one.caller.until(lambda: recording.first_audible_after(spoken.end) is not None)
        await _bus_is_away(world)
        back_at = time.monotonic()
        outcome = await one.over(2)
        print(f"over {time.monotonic() - back_at:.1f} s after it was back")
        assert (outcome.step, outcome.heard_text) == (COMPLETED, ANSWER)
        assert _steps(one, 2) == [COMMITTED, COMPLETED]
        assert len(world.model.requests) == asked + 1, "answered once"
        await _heard_alone(one, spoken.end, ANSWER)
        world.model.replies.append(Reply(LAST))
        spoken = await one.ask(QUESTION)
        assert (await one.over(3)).heard_text == LAST
        await _heard_alone(one, spoken.end, LAST)
        roles = [role for role, _ in world.model.requests[-1].messages]
        assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
        assert not one.errors
        assert one.caller.observed.disconnect_reason is None


async def _heard_alone(one: Talk, since: float, text: str) -> None:
    """This was heard since then and nothing else, stale or doubled."""
    recording = one.caller.recording
    await one.caller.until(
        lambda: recording.silent_from(recording.end - 1.0, for_s=0.9) is not None
    )
    words = await understood(recording, since, recording.end)
    assert word_error_rate(text, words) <= 0.3, words


async def test_the_media_server_is_restarted(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        world.model.replies.extend([Reply(FIRST), Reply(LAST)])
        await one.ask(QUESTION)
        await one.over(1)
        livekit = world.stack.processes["livekit"]
        await asyncio.to_thread(livekit.kill)
        await asyncio.to_thread(livekit.start)
        restarted_at = time.monotonic()
        try:
            await _back(one, restarted_at)
            print(f"they are both back after {time.monotonic() - restarted_at:.1f} s")
            spoken = await one.ask(QUESTION)
            outcome = await one.over(2)
            assert (outcome.step, outcome.heard_text) == (COMPLETED, LAST)
            await _heard_alone(one, spoken.end, LAST)
            asked = world.model.requests[-1].messages[1:]
            assert [role for role, _ in asked] == ["user", "assistant", "user"]
            assert asked[1] == ("assistant", FIRST)
        finally:
            await one.caller.leave()


async def _back(one: Talk, since: float) -> None:
    """In again whenever the room is lost, until the agent listens there."""
    deadline = since + BACK_S
    while not (one.caller.is_connected and one.caller.observed.listens_since(since)):
        assert time.monotonic() < deadline, f"not back within {BACK_S} s"
        created = one.created
        one.caller = await rejoined(one.caller, created.livekit_url, created.participant_token)
        await asyncio.sleep(0.1)
