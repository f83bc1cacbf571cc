"""Sessions end by themselves, with their reason, and nothing of them runs on."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.support.fake_room import trouble
from tests.support.memory_bus import MemoryServer
from tests.unit.egress.stage import SID, TIMING, Held, Stage
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.conversation.config import Timing
from visavis_egress.errors import AvatarRefused
from visavis_egress.room import PersonCame, PersonWent

Steps = Callable[[Stage, Held], Awaitable[None]]


@pytest.fixture
async def stage(server: MemoryServer) -> Stage:
    """The bus, the model stages at work, a session asked for."""
    one = Stage(server)
    await one.stages.listen()
    await one.ask_for()
    return one


async def _nothing(_: Stage, __: Held) -> None:
    """Nobody comes."""


async def _sits_there(_: Stage, held: Held) -> None:
    await held.person_comes()


async def _goes(_: Stage, held: Held) -> None:
    await held.person_comes()
    held.room.tell(PersonWent())


async def _is_faceless(_: Stage, held: Held) -> None:
    held.cast.errors = [AvatarRefused(trouble("creditsExhausted"))]
    held.room.tell(PersonCame())


async def _ends_by_api(stage: Stage, held: Held) -> None:
    await held.person_comes()
    await stage.request_end()
    await stage.control(pb.ControlRequest(end=pb.EndCall()))


ENDS = [
    ("NEVER_JOINED", replace(TIMING, never_joined_s=0.3), _nothing),
    ("CLIENT_LEFT", replace(TIMING, client_gone_s=0.3), _goes),
    ("MAX_DURATION", replace(TIMING, max_duration_s=0.5), _sits_there),
    ("SILENCE", replace(TIMING, max_silence_s=0.3), _sits_there),
    ("AVATAR_FAILED", TIMING, _is_faceless),
    ("API", TIMING, _ends_by_api),
]


@pytest.mark.parametrize(("reason", "timing", "steps"), ENDS, ids=[end[0] for end in ENDS])
async def test_a_session_ends_by_itself_and_leaves_nothing(
    stage: Stage, reason: str, timing: Timing, steps: Steps
) -> None:
    stage.timing = timing
    server = stage.server
    listeners, tasks = len(server.listeners), asyncio.all_tasks()
    async with stage.held() as held:
        await steps(stage, held)
        await held.over(8.0)
        assert not held.running.cancelled()
        expected = api.EndReason.Value(f"END_REASON_{reason}")
        status = await stage.status()
        assert (status.state, status.end_reason) == (api.SESSION_STATE_ENDED, expected)
        last = (await stage.records())[-1].event.session
        assert (last.step, last.reason) == (api.SessionChanged.STEP_ENDED, expected)
        assert stage.admin.rooms == set()
        assert held.room.closed
        assert all(avatar.closed for avatar in held.cast.made)
        assert not await stage.has_job()
        assert len(server.listeners) == listeners
    left = {task.get_name() for task in asyncio.all_tasks() - tasks if not task.done()}
    assert not left, left


async def test_silence_counts_from_the_last_word_of_either_side(stage: Stage) -> None:
    stage.timing = replace(TIMING, max_silence_s=0.6)
    async with stage.held() as held:
        await held.person_comes()
        for number in range(3):
            await asyncio.sleep(0.35)
            turn = (await stage.say("Still here.", f"r{number}")).turn
            await stage.until_turn(turn, "COMPLETED")
            assert not held.running.done()
        await held.over()
        assert (await stage.status(SID)).end_reason == api.END_REASON_SILENCE


async def test_without_the_setting_silence_ends_nothing(stage: Stage) -> None:
    async with stage.held() as held:
        await held.person_comes()
        await asyncio.sleep(0.5)
        assert not held.running.done()
