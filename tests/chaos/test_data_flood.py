"""Somebody in the room sends a thousand data packets a second: nobody notices."""

import asyncio
import sys
import time
from pathlib import Path

import pytest
from livekit import api as livekit

from tests.support.conversation import Talk, World, talk
from tests.support.data_flood import flood
from tests.support.openai_server import Reply
from visavis.session.v1 import session_pb2 as api
from visavis_local.stack import LIVEKIT_API_KEY

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc"),
]

PACKETS, PER_SECOND = 10_000, 1000
QUESTION = "Could you please tell me some more?"
SETTLES_S = 10.0
GROWS = 1.10


def _memory_mb(world: World) -> float:
    pid = world.stack.processes["egress"].pid
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _strangers_token(one: Talk) -> str:
    grants = livekit.VideoGrants(
        room_join=True,
        room=one.session_id,
        can_publish=True,
        can_publish_data=True,
        can_subscribe=False,
    )
    token = livekit.AccessToken(LIVEKIT_API_KEY, one.world.stack.layout.secret)
    return token.with_identity("a-stranger").with_grants(grants).to_jwt()


async def _by_a_stranger(one: Talk) -> float:
    arguments = (one.created.livekit_url, _strangers_token(one), str(PACKETS), str(PER_SECOND))
    program = (sys.executable, "-m", "tests.support.data_flood", *arguments)
    process = await asyncio.create_subprocess_exec(
        *program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return float(printed.split()[0])


async def _by_the_person(one: Talk) -> float:
    return await flood(one.caller, PACKETS, PER_SECOND)


async def test_no_answer_is_missing_and_memory_comes_back(world: World) -> None:
    """The person and a stranger at once, a thousand a second each."""
    world.model.choose = lambda _: Reply("All is well.")
    async with talk(world) as one:
        await one.seated()
        await _answered(one, 1)
        before = _memory_mb(world)
        flooding = asyncio.gather(_by_a_stranger(one), _by_the_person(one))
        turn = 1
        while not flooding.done():
            turn += 1
            await _answered(one, turn)
        took = await flooding
        during = _memory_mb(world)
        deadline = time.monotonic() + SETTLES_S
        while (after := _memory_mb(world)) > before * GROWS and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        print(f"sent in {took} s, {turn - 1} turns: {before:.0f}, {during:.0f}, {after:.0f} MB")
        assert turn >= 3
        assert after <= before * GROWS
        await _answered(one, turn + 1)
        assert not one.errors


async def _answered(one: Talk, turn: int) -> None:
    await one.ask(QUESTION)
    outcome = await one.over(turn, within_s=10.0)
    said = (api.TurnEvent.STEP_COMPLETED, "All is well.")
    assert (outcome.step, outcome.heard_text) == said
