"""SIGTERM to each service in the middle of a turn, a second replica beside it."""

import asyncio
import signal
import time
from dataclasses import replace

import pytest

from tests.chaos.conftest import WORDS
from tests.support.conversation import Talk, World, is_kind, talk
from tests.support.openai_server import Reply
from tests.support.replicas import PULL_S, Replicas, frozen
from tests.support.session_api import SessionApi
from tests.support.waiting import until
from tests.support.workers import metric
from visavis.session.v1 import session_pb2 as api
from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
]

QUESTION = "Could you please tell me some more?"
ANSWER = "The red house stands on the hill. Behind it is the old church."
SLOW = {
    "asr": {"VISAVIS_ASR_FAKE_DELAY_S": "1.5"},
    "llm": {},
    "tts": {"VISAVIS_TTS_ENGINE": "fake", "VISAVIS_TTS_FAKE_DELAY_S": "1"},
}
COMMITTED, COMPLETED = api.TurnEvent.STEP_COMMITTED, api.TurnEvent.STEP_COMPLETED


async def _is_answered_once(one: Talk) -> None:
    outcome = await one.over(1, within_s=40.0)
    assert (outcome.step, outcome.heard_text) == (COMPLETED, ANSWER)
    turns = [noted.event.turn for noted in one.all(is_kind("turn"))]
    assert [turn.step for turn in turns] == [COMMITTED, COMPLETED]
    said = [noted.event.user.text for noted in one.all(is_kind("user"))]
    assert [text for text in said if text] == [WORDS]
    assert len(one.world.model.requests) == 1
    assert one.caller.observed.disconnect_reason is None
    assert not one.errors
    one.world.model.replies.append(Reply("And that is all."))
    await one.ask(QUESTION)
    assert (await one.over(2)).heard_text == "And that is all."
    assert ("assistant", ANSWER) in one.world.model.requests[-1].messages


async def _stopped_well(process: ServerProcess) -> None:
    await until(lambda: not process.running, f"{process.name} has ended", within_s=25.0)
    assert process.exit_status == 0, process.tail()


@pytest.mark.parametrize("stage", ["asr", "llm", "tts"])
async def test_a_worker(world: World, crowd: Replicas, stage: str) -> None:
    world.model.requests.clear()
    world.model.replies.append(Reply(ANSWER, first_token_s=1.5 if stage == "llm" else 0.0))
    others = crowd.of(stage)
    victim = await crowd.start(stage, **SLOW[stage])
    async with talk(world) as one:
        await one.seated()
        # Frozen, the others are given nothing: so it is the victim that has the turn.
        async with frozen(*others):
            await asyncio.sleep(PULL_S)
            await one.ask(QUESTION)
            deadline = time.monotonic() + 10.0
            while not await metric(victim, "vv_work_running{"):
                assert time.monotonic() < deadline, victim.tail()
            victim.signal(signal.SIGTERM)
        await _is_answered_once(one)
        await _stopped_well(victim)


@pytest.mark.parametrize("when", ["thinking", "speaking"])
async def test_egress(world: World, crowd: Replicas, when: str) -> None:
    world.model.requests.clear()
    world.model.replies.append(Reply(ANSWER, first_token_s=1.0))
    while len(crowd.of("egress")) < 2:
        await crowd.start("egress")
    async with talk(world) as one:
        await one.seated()
        holder = await crowd.holder()
        await one.ask(QUESTION)
        await one.caller.until(lambda: one.caller.observed.agent_state == when)
        holder.signal(signal.SIGTERM)
        await _is_answered_once(one)
        await _stopped_well(holder)
        assert await crowd.holder() is not holder


async def test_token(world: World, crowd: Replicas) -> None:
    """Who watched goes on at the other replica from the last cursor, and misses nothing."""
    world.model.requests.clear()
    world.model.replies.append(Reply(ANSWER, first_token_s=1.0))
    port, http = free_port(), free_port()
    victim = await crowd.start("token", VISAVIS_GRPC_PORT=str(port), VISAVIS_HTTP_PORT=str(http))
    async with (
        SessionApi(f"127.0.0.1:{port}", world.stack.layout.secret) as first,
        talk(replace(world, api=first)) as one,
    ):
        await one.seated()
        await one.ask(QUESTION)
        await one.committed(1)
        victim.signal(signal.SIGTERM)
        await _stopped_well(victim)
        one.world = world
        await _is_answered_once(one)
