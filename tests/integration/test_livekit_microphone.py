"""In a real room: a microphone whose packets stay out is not a silent one."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from livekit import api as livekit

from tests.support.caller import Caller
from tests.support.servers import LiveKitServer, running_livekit
from tests.support.waiting import until
from visavis_egress.livekit_admin import LiveKitAdmin
from visavis_egress.livekit_room import LiveKitRoom
from visavis_egress.room import (
    MicrophoneFlows,
    MicrophoneOpened,
    MicrophoneSound,
    MicrophoneStalled,
    RoomEvent,
)

AGENT, PERSON = "agent-r", "person-r"
TALKS_S, SILENT_S = 60.0, 0.0
NO_STALL_S = 3.0
LOUD = 5_000


@dataclass
class Ear:
    """Our side of the room: what it was told of the microphone, and when (monotonic)."""

    server: LiveKitServer
    told: list[tuple[float, RoomEvent]] = field(default_factory=list)
    loudest: int = 0
    frames: int = 0
    room: LiveKitRoom = field(init=False)

    def __call__(self, event: RoomEvent) -> None:
        if isinstance(event, MicrophoneSound):
            self.frames += 1
            self.loudest = max(self.loudest, *memoryview(event.pcm).cast("h"))
        elif isinstance(event, MicrophoneOpened | MicrophoneStalled | MicrophoneFlows):
            self.told.append((time.monotonic(), event))

    @property
    def kinds(self) -> list[type[RoomEvent]]:
        return [type(event) for _, event in self.told]

    def token(self, identity: str) -> str:
        is_agent = identity == AGENT
        grants = livekit.VideoGrants(room_join=True, room="r", can_update_own_metadata=is_agent)
        token = livekit.AccessToken(self.server.api_key, self.server.api_secret)
        token = token.with_kind("agent" if is_agent else "standard")
        return token.with_identity(identity).with_grants(grants).to_jwt()

    def subscribed(self) -> set[str]:
        """Whose microphones the server sends us."""
        others = self.room._room.remote_participants
        return {
            identity
            for identity, other in others.items()
            for publication in other.track_publications.values()
            if publication.subscribed
        }

    async def hears(self, kinds: list[type[RoomEvent]], within_s: float) -> float:
        """Wait for exactly these events since the beginning; when the last one came."""
        await until(lambda: len(self.kinds) >= len(kinds), f"{kinds[-1]}", within_s=within_s)
        assert self.kinds == kinds
        return self.told[-1][0]

    @asynccontextmanager
    async def person(self, tone_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
        """Somebody else's process, in the room."""
        module = "tests.support.talker"
        arguments = ("-m", module, self.server.url, self.token(PERSON), str(tone_s))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await self.hears([MicrophoneOpened], 15)
            yield process
        finally:
            process.kill()
            await process.wait()


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    async with running_livekit() as server:
        admin = LiveKitAdmin(server.url, server.api_key, server.api_secret)
        await admin.create("r")
        one = Ear(server)
        make = partial(admin.create, "r")
        token = one.token(AGENT)
        room = one.room = LiveKitRoom(server.url, token, make, person=PERSON, avatar="avatar-r")
        try:
            await room.open(one)
            yield one
        finally:
            await room.aclose()
            await admin.aclose()


@pytest.mark.parametrize(("tone_s", "notices_s"), [(SILENT_S, 0.9), (TALKS_S, 0.6)])
async def test_a_frozen_person_is_not_a_silent_one(
    ear: Ear, tone_s: float, notices_s: float
) -> None:
    """0.5 s after the last packet of a silence, by what is missing at once in speech."""
    async with ear.person(tone_s) as person:
        if tone_s:
            await until(lambda: ear.loudest > LOUD, "the tone", within_s=10)
        await asyncio.sleep(NO_STALL_S)  # a sender's silence has a packet every 0.4 s
        assert ear.kinds == [MicrophoneOpened]
        person.send_signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        stalled_at = await ear.hears([MicrophoneOpened, MicrophoneStalled], 5)
        print(f"noticed after {stalled_at - frozen_at:.2f} s")
        assert stalled_at - frozen_at < notices_s
        await asyncio.sleep(max(0.0, frozen_at + 3 - time.monotonic()))
        person.send_signal(signal.SIGCONT)
        thawed_at = time.monotonic()
        flows_at = await ear.hears([MicrophoneOpened, MicrophoneStalled, MicrophoneFlows], 5)
        print(f"and that it goes on after {flows_at - thawed_at:.2f} s")
        assert flows_at - thawed_at < 1.0


async def test_a_muted_microphone_has_not_stalled(ear: Ear) -> None:
    async with await Caller.join(ear.server.url, ear.token(PERSON)) as caller:
        await ear.hears([MicrophoneOpened], 10)
        await asyncio.sleep(1)
        assert caller._publication
        assert caller._publication.track
        caller._publication.track.mute()
        await asyncio.sleep(NO_STALL_S)
        caller._publication.track.unmute()
        await asyncio.sleep(1)
    assert ear.kinds == [MicrophoneOpened]


async def test_a_microphone_that_is_closed_while_it_is_stalled_flows(ear: Ear) -> None:
    async with ear.person(TALKS_S) as person:
        await until(lambda: ear.loudest > LOUD, "the tone", within_s=10)
        await asyncio.sleep(0.5)
        person.send_signal(signal.SIGSTOP)
        await ear.hears([MicrophoneOpened, MicrophoneStalled], 5)
        gone = livekit.RoomParticipantIdentity(room="r", identity=PERSON)
        server = ear.server
        async with livekit.LiveKitAPI(server.url, server.api_key, server.api_secret) as api:
            await api.room.remove_participant(gone)
        await ear.hears([MicrophoneOpened, MicrophoneStalled, MicrophoneFlows], 5)


async def test_only_the_bound_persons_microphone_is_heard(ear: Ear) -> None:
    """One talks and is heard, another one is silent; then the silent one is bound, and back."""
    silent = await Caller.join(ear.server.url, ear.token("bob"))
    async with silent, ear.person(TALKS_S):
        await until(lambda: ear.loudest > LOUD, "the tone", within_s=10)
        ear.room.bind("bob")
        ear.loudest, ear.frames = 0, 0
        assert ear.kinds == [MicrophoneOpened]
        await ear.hears([MicrophoneOpened] * 2, 10)
        await until(lambda: ear.frames >= 50, "a second of it", within_s=10)
        assert ear.loudest < LOUD
        await until(lambda: ear.subscribed() == {"bob"}, "one microphone alone")
        ear.room.bind(PERSON)
        await until(lambda: ear.loudest > LOUD, "the tone again", within_s=10)
        await until(lambda: ear.subscribed() == {PERSON}, "one microphone alone")
