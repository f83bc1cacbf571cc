"""Nonsense from every side: a clear refusal each time, and the next turn goes as ever."""

import time
from collections.abc import AsyncIterator, Awaitable

import grpc
import pytest
import pytest_asyncio

from tests.support.conversation import Talk, World, is_kind, running_world, talk
from tests.support.openai_server import Reply
from tests.support.replicas import Replicas, replicas
from tests.support.session_api import Refusal, SessionApi, refusal
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(60),
    pytest.mark.slow,
]

MALFORMED = b"\xff\xfe not a message \x00\x01"
EMPTY = b""
UNKNOWN = "01J0000000000000000000ZZZZ"
TOO_LONG = "word " * 20_000
STAGES = ("asr", "llm", "tts")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with running_world({"VISAVIS_ASR_ENGINE": "fake"}) as one:
        one.model.choose = lambda _: Reply("All is well.")
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(world: World) -> AsyncIterator[Replicas]:
    async with replicas(world.stack) as one:
        yield one


async def _serves_on(one: Talk, crowd: Replicas) -> None:
    """The same session answers, and no process has ended."""
    turn = 1 + max((note.event.turn.turn for note in one.all(is_kind("turn"))), default=0)
    await one.caller.send_chat("Are you there?")
    assert (await one.over(turn)).heard_text == "All is well."
    ended = [name for name, process in crowd.stack.processes.items() if not process.running]
    assert not ended


async def _refused(call: Awaitable[object]) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    found = refusal(caught.value)
    assert (found.domain, bool(found.reason), bool(found.text)) == ("visavis", True, True)
    return found


async def _given_up(crowd: Replicas, stage: str, session_id: str, data: bytes) -> pb.DeadLetter:
    """Give a stage some work; the dead letter that it becomes, once the item is settled."""
    subject = subjects.work(stage, session_id)
    number = (await crowd.bus.store(subject, data)).sequence
    await _is_worked_off(crowd, subjects.WORK, subject)
    stored = await crowd.bus.last(
        subjects.DLQ, subjects.dead_letter(stage, session_id), leader=True
    )
    assert stored, "it was settled without a dead letter"
    letter = pb.DeadLetter.FromString(stored.data)
    assert (letter.stage, letter.subject, letter.stream_sequence) == (stage, subject, number)
    assert letter.error.message
    assert await crowd.bus.last(
        subjects.RESULTS, subjects.result(stage, session_id), leader=True
    ), "nobody is told"
    return letter


async def _is_worked_off(crowd: Replicas, stream: str, subject: str) -> None:
    deadline = time.monotonic() + 10.0
    while await crowd.bus.last(stream, subject, leader=True):
        assert time.monotonic() < deadline, f"{subject} is still there"


@pytest.mark.parametrize("stage", STAGES)
async def test_malformed_work_is_a_dead_letter_and_an_error(
    world: World, crowd: Replicas, stage: str
) -> None:
    async with talk(world) as one:
        await one.seated()
        for data in (MALFORMED, EMPTY):
            letter = await _given_up(crowd, stage, one.session_id, data)
            assert letter.error.code == "MALFORMED"
        await _serves_on(one, crowd)
        assert not one.errors  # no turn of the session was harmed


async def test_malformed_results_speech_and_cancels_change_nothing(
    world: World, crowd: Replicas
) -> None:
    async with talk(world) as one:
        await one.seated()
        sid = one.session_id
        spoiled = [*(subjects.result(stage, sid) for stage in STAGES), subjects.speech(sid)]
        for data in (MALFORMED, EMPTY):
            for subject in spoiled:
                await crowd.bus.store(subject, data)
            await crowd.bus.publish(subjects.cancel(sid), data)
            await crowd.bus.publish(f"vv.partial.transcript.{sid}", data)
        await _serves_on(one, crowd)
        assert not one.errors
        egress = crowd.stack.processes["egress"].tail(60)
        assert egress.count("session.malformed") >= len(spoiled), egress


async def test_malformed_calls_to_the_holder_are_answered(world: World, crowd: Replicas) -> None:
    async with talk(world) as one:
        await one.seated()
        where = subjects.control(one.session_id)
        answer = await crowd.bus.request(where, MALFORMED, timeout_s=5.0)
        reply = pb.ControlReply.FromString(answer)
        assert (reply.error.code, bool(reply.error.message)) == ("MALFORMED", True)
        await crowd.bus.request(where, EMPTY, timeout_s=5.0)
        too_long = pb.ControlRequest(say=pb.SayCall(request_id="r", text=TOO_LONG))
        answer = await crowd.bus.request(where, too_long.SerializeToString(), timeout_s=5.0)
        assert pb.ControlReply.FromString(answer).error.code == "INVALID"
        await _serves_on(one, crowd)


@pytest.mark.parametrize("data", [MALFORMED, EMPTY])
async def test_a_malformed_job_is_cleared(world: World, crowd: Replicas, data: bytes) -> None:
    await crowd.bus.store(subjects.job(UNKNOWN), data)
    await _is_worked_off(crowd, subjects.JOBS, subjects.job(UNKNOWN))
    assert "session.unknown" in crowd.stack.processes["egress"].tail(20)
    async with talk(world) as one:
        await one.seated()
        await _serves_on(one, crowd)


async def test_an_utterance_of_no_bytes_is_refused(world: World, crowd: Replicas) -> None:
    async with talk(world) as one:
        await one.seated()
        address = pb.Address(session_id=one.session_id, generation=1, turn=1)
        work = pb.TranscribeWork(address=address, revision=99, sample_rate_hz=16_000)
        letter = await _given_up(crowd, "asr", one.session_id, work.SerializeToString())
        assert not letter.payload  # no speech in dead letters
        where = subjects.result("asr", one.session_id)
        stored = await crowd.bus.last(subjects.RESULTS, where, leader=True)
        assert stored
        assert pb.TranscribeResult.FromString(stored.data).error.code == letter.error.code
        await _serves_on(one, crowd)


async def test_a_text_of_100_kb_is_refused_by_name(world: World, crowd: Replicas) -> None:
    async with talk(world) as one:
        await one.seated()
        refused = await _refused(one.say(TOO_LONG))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.fields == {"text": "TOO_LONG"}
        await one.caller.send_chat(TOO_LONG)
        noted = await one.event("the refusal", is_kind("error"))
        assert noted.event.error.code == "TEXT_REFUSED"
        assert "lk.chat" in noted.event.error.message
        assert "2000" in noted.event.error.message
        await _serves_on(one, crowd)
        overrides = api.SessionOverrides(instructions=TOO_LONG, greeting=TOO_LONG)
        refused = await _refused(world.api.create("nova", overrides=overrides))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert set(refused.fields) == {"overrides.instructions", "overrides.greeting"}


async def test_what_nobody_knows_is_refused(world: World, crowd: Replicas) -> None:
    refused = await _refused(world.api.create("nobody"))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == {"character": "CHARACTER_UNKNOWN"}
    client = world.api
    calls: list[Awaitable[object]] = [client.get(UNKNOWN), client.end(UNKNOWN)]
    for call in (*calls, client.say(UNKNOWN, "Hi.")):
        assert (await _refused(call)).code is grpc.StatusCode.NOT_FOUND
    assert (await _refused(world.api.get("nonsense"))).fields == {"session_id": "MALFORMED"}
    async with SessionApi(world.stack.layout.grpc_target, "a-wrong-key") as stranger:
        for call in (stranger.create("nova"), stranger.get(UNKNOWN), stranger.say(UNKNOWN, "Hi.")):
            assert (await _refused(call)).code is grpc.StatusCode.UNAUTHENTICATED
    async with talk(world) as one:
        await one.seated()
        await _serves_on(one, crowd)
        assert not one.errors
