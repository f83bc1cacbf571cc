"""Workers die in the middle of a turn and work comes twice: every turn is answered, once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.support.conversation import Talk, World, is_kind, running_world, talk
from tests.support.listener import understood
from tests.support.openai_server import Reply
from tests.support.replicas import PULL_S, Replicas, frozen, replicas
from tests.support.waiting import until
from tests.support.words import word_error_rate
from tests.support.workers import metric
from visavis.session.v1 import session_pb2 as api
from visavis_local.processes import ServerProcess
from visavis_runtime import subjects
from visavis_runtime.bus import Message

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.audio,
    pytest.mark.slow,
]

WORDS = "Tell me about the house."
SETTINGS = {"VISAVIS_ASR_ENGINE": "fake", "VISAVIS_ASR_FAKE_TEXT": WORDS}
ANSWER = "The red house stands on the hill behind the old church."
SLOW = {
    "asr": {"VISAVIS_ASR_FAKE_DELAY_S": "30"},
    "llm": {},
    "tts": {"VISAVIS_TTS_ENGINE": "fake", "VISAVIS_TTS_FAKE_DELAY_S": "30"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with running_world(SETTINGS) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(world: World) -> AsyncIterator[Replicas]:
    async with replicas(world.stack, SETTINGS) as one:
        yield one


async def _is_answered_once(one: Talk, since: float) -> None:
    """By the events, by the model server and by ear."""
    outcome = await one.over(1)
    assert (outcome.step, outcome.heard_text) == (api.TurnEvent.STEP_COMPLETED, ANSWER)
    recording = one.caller.recording
    await one.caller.until(
        lambda: recording.silent_from(recording.end - 1.0, for_s=0.5) is not None
    )
    heard = await understood(recording, since, recording.end)
    assert word_error_rate(ANSWER, heard) <= 0.3, heard
    turns = [note.event.turn for note in one.all(is_kind("turn"))]
    assert [turn.step for turn in turns] == [
        api.TurnEvent.STEP_COMMITTED,
        api.TurnEvent.STEP_COMPLETED,
    ]
    said = [note.event.agent for note in one.all(is_kind("agent"))]
    texts = [it.text for it in said if it.step == api.AgentEvent.STEP_TEXT]
    assert texts == [ANSWER]
    transcripts = [
        note.event.user.text for note in one.all(is_kind("user")) if note.event.user.text
    ]
    assert transcripts == [WORDS]
    assert not one.errors


@pytest.mark.parametrize("when", ["at once", "afterwards"])
async def test_redelivered_work_of_every_stage_doubles_nothing(
    world: World, crowd: Replicas, when: str
) -> None:
    world.model.choose = lambda _: Reply(ANSWER, token_s=0.01)
    seen: list[Message] = []
    again: set[asyncio.Task[object]] = set()
    repeated: set[tuple[str, bytes]] = set()

    def repeat(message: Message) -> None:
        """The same work under no id: what the stream cannot know for a repeat."""
        key = (message.subject, message.data)
        if key not in repeated:
            repeated.add(key)
            again.add(asyncio.create_task(crowd.bus.store(message.subject, message.data)))

    async with talk(world) as one, AsyncExitStack() as stack:
        await one.seated()
        for stage in ("asr", "llm", "tts"):
            subject = subjects.work(stage, one.session_id)
            take = repeat if when == "at once" else seen.append
            listening = await crowd.bus.subscribe(subject, take)
            stack.push_async_callback(listening.aclose)
        began = (await one.ask(WORDS)).start
        if when == "afterwards":
            await one.over(1)
            done = len(world.model.requests)
            for message in seen:
                repeat(message)
        stages = {subject.split(".")[2] for subject, _ in repeated}
        await until(lambda: len({s.split(".")[2] for s, _ in repeated}) == 3, "all stages, twice")
        await asyncio.gather(*again)
        await _is_answered_once(one, began)
        await _queues_empty(crowd, one.session_id)
        if when == "afterwards":
            # A repeat of what is over costs the model nothing.
            assert len(world.model.requests) == done
            assert stages == {"asr", "llm", "tts"}
        # A second turn goes as ever.
        assert (await one.over(await one.say("Nothing is left over."))).heard_text


async def _queues_empty(crowd: Replicas, session_id: str) -> None:
    deadline = time.monotonic() + 10.0
    for stage in ("asr", "llm", "tts"):
        subject = subjects.work(stage, session_id)
        while await crowd.bus.last(subjects.WORK, subject, leader=True):
            assert time.monotonic() < deadline, f"{subject} is not worked off"
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stage", ["asr", "llm", "tts"])
async def test_a_worker_killed_in_mid_turn_is_stood_in_for(
    world: World, crowd: Replicas, stage: str
) -> None:
    world.model.replies.clear()
    world.model.choose = lambda _: Reply(ANSWER)
    standing_in = crowd.of(stage)
    async with talk(world) as one:
        await one.seated()
        asked = len(world.model.requests)
        if stage == "llm":
            world.model.replies.append(Reply(ANSWER, first_token_s=30.0))
        victim = await crowd.start(stage, **SLOW[stage])
        # Frozen, the others are given nothing: so the victim has the turn for certain.
        async with frozen(*standing_in):
            await asyncio.sleep(PULL_S)
            began = (await one.ask(WORDS)).start
            await _until_works(victim)
            if stage == "llm":
                await world.model.wait_for(asked + 1)
            victim.kill()
        killed_at = time.monotonic()
        await _is_answered_once(one, began)
        print(f"{stage}: over {time.monotonic() - killed_at:.1f} s after the kill")


async def _until_works(worker: ServerProcess) -> None:
    deadline = time.monotonic() + 10.0
    while not await metric(worker, "vv_work_running{"):
        assert time.monotonic() < deadline, f"{worker.name} got nothing\n{worker.tail()}"
        await asyncio.sleep(0.02)
