"""motion_sim as a process, driven by the real SDK, heard in a real LiveKit room."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import numpy as np
import pytest
import spatius
from livekit import api, rtc

from tests.support.servers import LiveKitServer, running_livekit
from visavis_local.ports import free_port

ROOM = "room-1"
AGENT, AVATAR, PERSON = "agent-room-1", "avatar-room-1-1", "person-room-1"
LISTEN_HZ = 24000
LOUD = 300.0  # RMS of s16 samples; the tone below has 5,656


def tone(seconds: float, rate_hz: int, pitch_hz: float = 440.0) -> bytes:
    """A sine, mono s16le."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return (np.sin(2 * np.pi * pitch_hz * time_s) * 8000).astype("<i2").tobytes()


def token(server: LiveKitServer, identity: str, room: str = ROOM) -> str:
    """What protocol.md §7 gives to each of the three."""
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=identity == AVATAR,
        can_publish_sources=["camera", "microphone"] if identity == AVATAR else [],
        can_subscribe=identity != AVATAR,
        can_publish_data=True,
    )
    made = api.AccessToken(server.api_key, server.api_secret).with_identity(identity)
    made = made.with_grants(grants).with_kind("standard" if identity == PERSON else "agent")
    if identity == AVATAR:
        made = made.with_attributes({"lk.publish_on_behalf": AGENT})
    return made.to_jwt()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Look every 10 ms, for a bounded time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class Ears:
    """The person: writes down when it was loud, the samples, and the motion packets."""

    def __init__(self) -> None:
        self.levels: list[tuple[float, float]] = []
        self.samples: list[bytes] = []
        self.packets: list[dict[str, Any]] = []
        self.tracks: list[rtc.RemoteTrackPublication] = []
        self.room = rtc.Room()
        self._reading: list[asyncio.Task[None]] = []
        self.room.on("track_subscribed", self._on_track)
        self.room.on("data_received", self._on_data)

    def _on_track(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, _: object
    ) -> None:
        self.tracks.append(publication)
        self._reading.append(asyncio.create_task(self._read(track)))

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if packet.topic == "vv.motion.sim":
            self.packets.append(json.loads(packet.data))

    async def _read(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track, sample_rate=LISTEN_HZ, num_channels=1, frame_size_ms=20, capacity=100
        )
        try:
            async for event in stream:
                pcm = bytes(event.frame.data)
                samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
                level = float(np.sqrt(np.mean(samples * samples)))
                self.levels.append((time.monotonic(), level))
                if level > LOUD:
                    self.samples.append(pcm)
        finally:
            await stream.aclose()

    def loud_times(self) -> list[float]:
        """Monotonic times of loud 20 ms frames."""
        return [at for at, level in self.levels if level > LOUD]

    def pitch_hz(self) -> float:
        """Strongest frequency of all that was loud."""
        samples = np.frombuffer(b"".join(self.samples), dtype="<i2").astype(np.float64)
        spectrum = np.abs(np.fft.rfft(samples))
        return float(np.argmax(spectrum[1:]) + 1) * LISTEN_HZ / len(samples)

    async def aclose(self) -> None:
        """Stop listening and leave."""
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        await self.room.disconnect()


class Agent:
    """The RPC receiver: (method, payload, caller) in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.room = rtc.Room()

    async def connect(self, server: LiveKitServer) -> None:
        """Join, ready for the RPCs."""
        await self.room.connect(server.url, token(server, AGENT))
        for method in ("lk.playback_started", "lk.playback_finished"):
            self.room.local_participant.register_rpc_method(method, self._answer)

    async def _answer(self, call: rtc.RpcInvocationData) -> str:
        self.calls.append((call.method, call.payload, call.caller_identity))
        return "ok"

    def finished(self) -> list[dict[str, Any]]:
        """Payloads of the finished RPCs."""
        return [json.loads(payload) for method, payload, _ in self.calls if "finished" in method]


class Sim:
    """A motion_sim process."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.base = f"127.0.0.1:{port}"

    async def stats(self) -> dict[str, Any]:
        """`GET /sim/stats`."""
        url = f"http://{self.base}/sim/stats"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return dict(await answer.json())

    async def order(self, **faults: object) -> None:
        """`POST /sim/faults`."""
        url = f"http://{self.base}/sim/faults"
        async with aiohttp.ClientSession() as http, http.post(url, json=faults) as answer:
            assert answer.status == 200

    async def ready(self) -> None:
        """Wait for `/readyz`, at most 20 s."""
        async with asyncio.timeout(20), aiohttp.ClientSession() as http:
            while self.process.returncode is None:
                try:
                    async with http.get(f"http://{self.base}/readyz"):
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
        pytest.fail(f"motion_sim ended with status {self.process.returncode}")

    async def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 15)


@asynccontextmanager
async def running_sim() -> AsyncIterator[Sim]:
    """A stand-in of one's own on a free port."""
    port = free_port()
    environ = {"VISAVIS_MOTION_SIM_API_KEY": "key", "VISAVIS_MOTION_SIM_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "visavis_motion_sim", env=environ
    )
    sim = Sim(port, process)
    try:
        await sim.ready()
        yield sim
    finally:
        await sim.stop()


class Stand:
    """Everything a test needs: server, room, stand-in, the agent and the person."""

    def __init__(self, server: LiveKitServer, sim: Sim) -> None:
        self.server = server
        self.sim = sim
        self.agent = Agent()
        self.ears = Ears()
        self.errors: list[Exception] = []
        self.closed = asyncio.Event()

    def error_code(self) -> str:
        """The SDK's name of the first error."""
        first = self.errors[0]
        assert isinstance(first, spatius.AvatarSDKError)
        return first.code.value

    def session(self, rate_hz: int = 24000, **changes: Any) -> spatius.AvatarSession:
        """An SDK session for the room; `changes` go to the egress configuration."""
        egress: dict[str, Any] = {
            "url": self.server.url,
            "api_token": token(self.server, AVATAR),
            "room_name": ROOM,
            "publisher_id": AVATAR,
            "extra_attributes": {"lk.publish_on_behalf": AGENT, "livekit_agent_identity": AGENT},
        }
        return spatius.new_avatar_session(
            avatar_id="sim-avatar",
            api_key="key",
            app_id="sim-app",
            sample_rate=rate_hz,
            console_endpoint_url=f"http://{self.sim.base}/v1/console",
            ingress_endpoint_url=f"ws://{self.sim.base}/v2/driveningress",
            livekit_egress=spatius.LiveKitEgressConfig(**{**egress, **changes}),
            on_error=self.errors.append,
            on_close=self.closed.set,
        )

    def present(self) -> bool:
        """Whether the avatar is in the room, as the person sees it."""
        return AVATAR in self.ears.room.remote_participants

    def told(self, count: int) -> bool:
        """Whether the agent has heard of that many finished requests."""
        return len(self.agent.finished()) >= count

    async def audible(self) -> None:
        """Wait until the person has the avatar's track."""
        await until(lambda: bool(self.ears.levels))


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    spatius.configure_telemetry("")
    async with running_livekit() as server, running_sim() as sim:
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as control:
            await control.room.create_room(api.CreateRoomRequest(name=ROOM))
        made = Stand(server, sim)
        await made.agent.connect(server)
        await made.ears.room.connect(server.url, token(server, PERSON))
        yield made
        await made.ears.aclose()
        await made.agent.room.disconnect()


async def test_the_listener_hears_each_request_and_the_agent_is_told(stand: Stand) -> None:
    async with stand.session() as session:
        await stand.audible()
        await session.send_audio(tone(1.0, 24000))
        await session.send_audio(b"", end=True)
        await session.send_audio(tone(0.5, 24000), end=True)
        await until(lambda: len(stand.agent.calls) == 4)
    assert stand.agent.calls[0] == ("lk.playback_started", "", AVATAR)
    assert stand.agent.finished() == [
        {"playback_position": 1.0, "interrupted": False},
        {"playback_position": 0.5, "interrupted": False},
    ]
    heard_s = len(stand.ears.loud_times()) * 0.02
    assert heard_s == pytest.approx(1.5, abs=0.25)
    (publication,) = stand.ears.tracks
    assert publication.source == rtc.TrackSource.SOURCE_MICROPHONE
    weights = [packet["w"]["jawOpen"] for packet in stand.ears.packets]
    assert len(weights) >= 30
    assert max(weights) > 0.5
    assert weights[-1] == 0.0


async def test_an_interrupt_silences_the_room_and_reports_what_was_heard(stand: Stand) -> None:
    async with stand.session() as session:
        await stand.audible()
        await session.send_audio(tone(2.0, 24000), end=True)
        await until(lambda: len(stand.ears.loud_times()) > 25)
        interrupted_at = time.monotonic()
        await session.interrupt()
        await session.send_audio(b"", end=True)
        await until(lambda: len(stand.agent.calls) == 2)
        reported_s = time.monotonic() - interrupted_at
        await asyncio.sleep(0.5)  # the time in which a tail would be heard
    assert reported_s < 0.8  # 17 ms measured; more than a second was left
    assert stand.ears.loud_times()[-1] - interrupted_at < 0.8
    (report,) = stand.agent.finished()
    assert report["interrupted"]
    assert 0.3 < report["playback_position"] < 1.2
    stats = await stand.sim.stats()
    assert (stats["requests"], stats["phantom_requests"]) == (1, 1)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100])
async def test_other_rates_keep_pitch_and_length(stand: Stand, rate_hz: int) -> None:
    async with stand.session(rate_hz) as session:
        await stand.audible()
        await session.send_audio(tone(0.8, rate_hz), end=True)
        await until(lambda: len(stand.agent.calls) == 2)
    assert stand.agent.finished()[0]["playback_position"] == pytest.approx(0.8, abs=0.021)
    assert len(stand.ears.loud_times()) * 0.02 == pytest.approx(0.8, abs=0.2)
    assert stand.ears.pitch_hz() == pytest.approx(440, abs=5)


async def test_a_dropped_socket_takes_the_avatar_out_of_the_room(stand: Stand) -> None:
    session = stand.session()
    await session.init()
    await session.start()
    await until(stand.present)
    await session.send_audio(tone(5.0, 24000))
    await stand.sim.order(close="drop")
    await asyncio.wait_for(stand.closed.wait(), 5)
    assert stand.error_code() == "connectionClosed"
    await until(lambda: not stand.present())
    assert (await stand.sim.stats())["open_rooms"] == []
    await session.close()


async def test_removal_from_the_room_ends_the_session(stand: Stand) -> None:
    session = stand.session()
    await session.init()
    await session.start()
    server = stand.server
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as control:
        whom = api.RoomParticipantIdentity(room=ROOM, identity=AVATAR)
        await control.room.remove_participant(whom)
    await asyncio.wait_for(stand.closed.wait(), 10)
    assert stand.error_code() == "egressUnavailable"
    await session.close()


async def test_a_configuration_that_does_not_fit_the_token_is_refused(stand: Stand) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"api_token": "nonsense"}, "invalidEgressConfig"),
        ({"publisher_id": "somebody-else"}, "invalidEgressConfig"),
        ({"room_name": "another"}, "invalidEgressConfig"),
        ({"url": f"ws://127.0.0.1:{free_port()}"}, "egressUnavailable"),
    ]
    for changes, code in wrong:
        session = stand.session(**changes)
        await session.init()
        with pytest.raises(spatius.AvatarSDKError) as caught:
            await session.start()
        assert caught.value.code.value == code
        await session.close()
    await until(lambda: not stand.present())


async def test_sessions_leave_no_threads_or_files_behind(stand: Stand) -> None:
    counts = []
    for number in range(1, 5):
        async with stand.session() as session:
            await session.send_audio(tone(0.1, 24000), end=True)
            await until(partial(stand.told, number))
        await until(lambda: not stand.present())
        process = f"/proc/{stand.sim.process.pid}"
        counts.append(len(os.listdir(f"{process}/task")) + len(os.listdir(f"{process}/fd")))
    assert counts[-1] <= counts[0] + 2


async def test_sigterm_closes_the_session_and_leaves_the_room(stand: Stand) -> None:
    session = stand.session()
    await session.init()
    await session.start()
    await until(stand.present)
    assert await stand.sim.stop() == 0
    await asyncio.wait_for(stand.closed.wait(), 5)
    await until(lambda: not stand.present())
    await session.close()
