"""The agent's own connection to the room is lost: mended by the SDK, or given up at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from livekit import api as livekit
from livekit import rtc
from prometheus_client import REGISTRY

from tests.support.caller import Caller
from tests.support.recording import level_dbfs
from tests.support.servers import LiveKitServer, running_livekit
from tests.support.waiting import until
from visavis_egress.livekit_admin import LiveKitAdmin
from visavis_egress.livekit_room import LiveKitRoom
from visavis_egress.room import MicrophoneSound, RoomEvent, RoomLost

pytestmark = [pytest.mark.timeout(60)]

AGENT, PERSON = "agent-r", "person-r"
TONE = (8000 * np.sin(np.arange(24_000) / 8)).astype(np.int16)


def _token(server: LiveKitServer, identity: str) -> str:
    grants = livekit.VideoGrants(room_join=True, room="r", can_publish=True, can_subscribe=True)
    token = livekit.AccessToken(server.api_key, server.api_secret)
    return token.with_identity(identity).with_grants(grants).to_jwt()


@dataclass
class Scene:
    """An agent in a room, and what it is told."""

    server: LiveKitServer
    room: LiveKitRoom
    admin: LiveKitAdmin
    events: list[RoomEvent]

    @property
    def losses(self) -> list[RoomLost]:
        return [event for event in self.events if isinstance(event, RoomLost)]


@asynccontextmanager
async def seated() -> AsyncIterator[Scene]:
    events: list[RoomEvent] = []
    async with running_livekit() as server, AsyncExitStack() as stack:
        admin = LiveKitAdmin(server.url, server.api_key, server.api_secret)
        stack.push_async_callback(admin.aclose)
        await admin.create("r")
        token = _token(server, AGENT)
        make = partial(admin.create, "r")
        room = LiveKitRoom(server.url, token, make, person=PERSON, avatar="avatar-r")
        stack.push_async_callback(room.aclose)
        await room.open(events.append)
        yield Scene(server, room, admin, events)


def _counted(step: str) -> float:
    found = REGISTRY.get_sample_value("vv_room_reconnects_total", {"step": step})
    return found or 0.0


async def _reconnect(room: rtc.Room, kind: "rtc.SimulateScenarioKind.ValueType") -> None:
    again = asyncio.Event()
    room.once("reconnected", again.set)
    await room.simulate_scenario(kind)
    await asyncio.wait_for(again.wait(), 20)


async def test_the_person_is_heard_after_a_full_reconnect() -> None:
    async with seated() as scene, AsyncExitStack() as stack:
        server, room, events = scene.server, scene.room, scene.events
        caller = await stack.enter_async_context(
            await Caller.join(server.url, _token(server, PERSON))
        )

        async def is_heard(when: str) -> None:
            events.clear()
            await caller.speak_samples(TONE, 24_000)
            await until(lambda: _has_sound(events), f"sound {when}", within_s=5)

        await asyncio.sleep(0.5)
        await is_heard("before")
        before = _counted("reconnecting"), _counted("reconnected")
        await _reconnect(room._room, rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        await is_heard("after")
        assert not scene.losses
        assert (_counted("reconnecting"), _counted("reconnected")) == (before[0] + 1, before[1] + 1)


async def test_a_room_that_is_still_there_is_not_given_up() -> None:
    async with seated() as scene:
        await _reconnect(scene.room._room, rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
        mending = scene.room._mending
        assert mending
        await asyncio.wait_for(mending, 5)
        assert not scene.losses
        await scene.room.show_state("listening")


@pytest.mark.parametrize("away_s", [0.0, 3.0], ids=["restarted", "away for 3 s"])
async def test_a_server_that_was_restarted_has_the_room_again_and_the_agent_lets_go(
    away_s: float,
) -> None:
    async with seated() as scene:
        process = scene.server.process
        if not process:
            pytest.skip("the server is not ours to restart")
        before = _counted("room_made_anew")
        await asyncio.to_thread(process.kill)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(process.start)
        back_at = time.monotonic()
        await until(lambda: scene.losses, "the loss told", within_s=5)
        print(f"let go {time.monotonic() - back_at:.2f} s after the server was back")
        assert [loss.is_replaced for loss in scene.losses] == [False]
        assert _counted("room_made_anew") == before + 1
        async with await Caller.join(scene.server.url, _token(scene.server, PERSON)) as caller:
            assert not caller.agent, "the agent is out, and its SDK does not bring it back"


def _has_sound(events: list[RoomEvent]) -> bool:
    sounds = [event.pcm for event in events if isinstance(event, MicrophoneSound)]
    return any(level_dbfs(np.frombuffer(pcm, "<i2")) > -40 for pcm in sounds)
