"""The agent's own connection to the room is made anew by the SDK: it goes on hearing the person."""

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import pytest
from livekit import api as livekit
from livekit import rtc

from tests.support.caller import Caller
from tests.support.recording import level_dbfs
from tests.support.servers import LiveKitServer, running_livekit
from tests.support.waiting import until
from visavis_egress.livekit_room import LiveKitRoom
from visavis_egress.room import MicrophoneSound, RoomEvent, RoomLost

pytestmark = [pytest.mark.timeout(60)]

AGENT, PERSON = "agent-r", "person-r"
TONE = (8000 * np.sin(np.arange(24_000) / 8)).astype(np.int16)


def _token(server: LiveKitServer, identity: str) -> str:
    grants = livekit.VideoGrants(room_join=True, room="r", can_publish=True, can_subscribe=True)
    token = livekit.AccessToken(server.api_key, server.api_secret)
    return token.with_identity(identity).with_grants(grants).to_jwt()


async def _make_room(server: LiveKitServer) -> None:
    url = server.url.replace("ws://", "http://")
    async with livekit.LiveKitAPI(url, server.api_key, server.api_secret) as admin:
        await admin.room.create_room(livekit.CreateRoomRequest(name="r"))


async def test_the_person_is_heard_after_a_full_reconnect() -> None:
    events: list[RoomEvent] = []
    async with running_livekit() as server, AsyncExitStack() as stack:
        await _make_room(server)
        room = LiveKitRoom(server.url, _token(server, AGENT), person=PERSON, avatar="avatar-r")
        stack.push_async_callback(room.aclose)
        await room.open(events.append)
        caller = await stack.enter_async_context(
            await Caller.join(server.url, _token(server, PERSON))
        )

        async def is_heard(when: str) -> None:
            events.clear()
            await caller.speak_samples(TONE, 24_000)
            await until(lambda: _has_sound(events), f"sound {when}", within_s=5)

        await asyncio.sleep(0.5)
        await is_heard("before")
        again = asyncio.Event()
        room._room.on("reconnected", again.set)
        kind = rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT
        await room._room.simulate_scenario(kind)
        await asyncio.wait_for(again.wait(), 20)
        await is_heard("after")
        assert not [event for event in events if isinstance(event, RoomLost)]


def _has_sound(events: list[RoomEvent]) -> bool:
    sounds = [event.pcm for event in events if isinstance(event, MicrophoneSound)]
    return any(level_dbfs(np.frombuffer(pcm, "<i2")) > -40 for pcm in sounds)
