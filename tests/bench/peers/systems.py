"""The three systems: started, asked for a seat in a room, and when they took a turn to be over."""

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.request import urlopen

from livekit import api as livekit

from tests.bench.peers.engines import Setup
from tests.bench.peers.processes import tree
from tests.support.servers import LiveKitServer
from tests.support.session_api import SessionApi
from tests.support.stack import RunningStack, running_stack
from visavis.session.v1 import session_pb2 as api
from visavis_local.environments import environment
from visavis_local.places import ROOT
from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess

# Their frameworks' models come in wheels: a start that wants the network should fail, not wait.
# Pipecat logs every step unless told otherwise, which would be counted.
ENVIRON = {
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
    "LOGURU_LEVEL": os.environ.get("LOGURU_LEVEL", "INFO"),
}
PATHS = (".", "services/asr", "services/llm", "services/tts", "services/runtime")
AGENT_NAME = "peer"
_READY_S = 60.0
_NOT_COUNTED = ("livekit", "model-server", "motion-sim")


@dataclass(frozen=True)
class Seat:
    """A room with an agent in it, and a person's way in. `key`: of the session, for `decided`."""

    url: str
    token: str
    key: str


class System(Protocol):
    """One of the three, running."""

    async def open(self) -> Seat:
        """A session, to be joined."""

    async def ready(self, seat: Seat) -> None:
        """Return when it listens, the person being there."""

    async def close(self, seat: Seat) -> None:
        """End it; the person has left."""

    def decided(self, seat: Seat) -> list[float]:
        """When turns were taken to be over, so far (monotonic)."""

    def pids(self) -> list[int]:
        """Every process of it; not the LiveKit server, not the language model's server."""


@dataclass
class Visavis:
    """Ours, started as the demo and the end-to-end tests start it, with the voice alone."""

    stack: RunningStack
    client: SessionApi
    setup: Setup
    _commits: dict[str, list[float]] = field(default_factory=dict)
    _states: dict[str, str] = field(default_factory=dict)
    _watches: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def open(self) -> Seat:
        overrides = api.SessionOverrides(
            greeting="",
            disclosure=False,
            instructions=self.setup.instructions,
            temperature=0.0,
            max_output_tokens=self.setup.max_tokens,
        )
        created = await self.client.create("nova", overrides=overrides)
        key = created.session.session_id
        self._commits[key], self._states[key] = [], ""
        self._watches[key] = asyncio.create_task(self._watch(key))
        return Seat(created.livekit_url, created.participant_token, key)

    async def ready(self, seat: Seat) -> None:
        async with asyncio.timeout(_READY_S):
            while self._states[seat.key] != "listening":
                await asyncio.sleep(0.02)

    async def close(self, seat: Seat) -> None:
        await self.client.end(seat.key)
        watch = self._watches.pop(seat.key)
        watch.cancel()
        await asyncio.wait([watch])

    def decided(self, seat: Seat) -> list[float]:
        return self._commits[seat.key]

    def pids(self) -> list[int]:
        running = self.stack.processes.items()
        return [pid for name, one in running if name not in _NOT_COUNTED for pid in tree(one.pid)]

    async def _watch(self, key: str) -> None:
        async for response in self.client.watch(key):
            event = response.event
            self._keep(f"{time.monotonic():.3f} {key} {' '.join(str(event).split())}")
            if event.WhichOneof("kind") == "agent" and event.agent.state:
                self._states[key] = event.agent.state
            if event.WhichOneof("kind") != "turn" or event.turn.origin != _SPEECH:
                continue
            if event.turn.step == api.TurnEvent.STEP_COMMITTED:
                # Stored 1 to 3 ms after the decision: that much is counted as waiting.
                stored = response.time.ToNanoseconds() / 1e9
                self._commits[key].append(stored - time.time() + time.monotonic())

    def _keep(self, line: str) -> None:
        """For whoever looks for what went wrong."""
        with Path(self.setup.events).open("a") as file:
            file.write(line + "\n")


_SPEECH = api.TurnEvent.ORIGIN_SPEECH


@dataclass
class _Rooms:
    """Rooms and tokens as a user of the peers makes them."""

    server: LiveKitServer
    admin: livekit.LiveKitAPI

    async def make(self) -> Seat:
        name = f"bench-{secrets.token_hex(6)}"
        await self.admin.room.create_room(livekit.CreateRoomRequest(name=name))
        return Seat(self.server.url, self.token("person", name), name)

    def token(self, identity: str, room: str, *, agent: bool = False) -> str:
        access = livekit.AccessToken(self.server.api_key, self.server.api_secret)
        grants = livekit.VideoGrants(room_join=True, room=room, agent=agent)
        access = access.with_identity(identity).with_grants(grants)
        return (access.with_kind("agent") if agent else access).to_jwt()

    async def delete(self, seat: Seat) -> None:
        await self.admin.room.delete_room(livekit.DeleteRoomRequest(room=seat.key))


@dataclass
class _Peer:
    """What the two have in common: a file of events."""

    rooms: _Rooms
    setup: Setup
    folder: Path

    def decided(self, seat: Seat) -> list[float]:
        """See System."""
        return self._noted("decided", seat)

    async def ready(self, seat: Seat) -> None:
        """See System."""
        async with asyncio.timeout(_READY_S):
            while not self._noted("ready", seat):
                await asyncio.sleep(0.05)
        # Neither says that its microphone is open; both are within a second.
        await asyncio.sleep(1.5)

    def _noted(self, event: str, seat: Seat) -> list[float]:
        path = Path(self.setup.events)
        return noted(path.read_text() if path.exists() else "", event, seat.key)

    def _environ(self) -> dict[str, str]:
        paths = ":".join(str(ROOT / path) for path in PATHS)
        return {**ENVIRON, **self.setup.environ(), "PYTHONPATH": paths}


@dataclass
class LiveKitAgents(_Peer):
    """A worker with its pool of processes, one for each session."""

    worker: ServerProcess

    async def open(self) -> Seat:
        """See System."""
        seat = await self.rooms.make()
        request = livekit.CreateAgentDispatchRequest(agent_name=AGENT_NAME, room=seat.key)
        await self.rooms.admin.agent_dispatch.create_dispatch(request)
        return seat

    async def close(self, seat: Seat) -> None:
        """See System."""
        await self.rooms.delete(seat)

    def pids(self) -> list[int]:
        """See System."""
        return tree(self.worker.pid)


@dataclass
class Pipecat(_Peer):
    """A process for each call."""

    bots: dict[str, ServerProcess] = field(default_factory=dict)

    async def open(self) -> Seat:
        """See System."""
        seat = await self.rooms.make()
        program = environment("peers_pipecat") / "bin" / "python"
        token = self.rooms.token("bot", seat.key, agent=True)
        bot = ServerProcess(
            name=seat.key,
            command=[
                *(str(program), "-m", "tests.bench.peers.pipecat_bot"),
                *(seat.url, token, seat.key),
            ],
            log=self.folder / "pipecat.log",
            environ=self._environ(),
            stop_timeout_s=5.0,
        )
        self.bots[seat.key] = bot
        await asyncio.to_thread(bot.start)
        return seat

    async def close(self, seat: Seat) -> None:
        """See System."""
        await self.rooms.delete(seat)
        await asyncio.to_thread(self.bots.pop(seat.key).stop)

    def pids(self) -> list[int]:
        """See System."""
        return [pid for bot in self.bots.values() if bot.running for pid in tree(bot.pid)]


def noted(lines: str, event: str, room: str) -> list[float]:
    """The times of an event in a file of Setup.note; a line that is being written is left out."""
    *whole, _ = lines.split("\n")
    found = [json.loads(line) for line in whole]
    return [one["at"] for one in found if (one["event"], one["room"]) == (event, room)]


@asynccontextmanager
async def visavis(server: LiveKitServer, setup: Setup, folder: Path) -> AsyncIterator[System]:
    """Ours beside the shared servers; all gone afterwards."""
    settings = {
        "VISAVIS_LIVEKIT_URL": server.url,
        "VISAVIS_LIVEKIT_PUBLIC_URL": server.url,
        "VISAVIS_LIVEKIT_API_KEY": server.api_key,
        "VISAVIS_LIVEKIT_API_SECRET": server.api_secret,
        "VISAVIS_AVATAR": "audio_only",
        "VISAVIS_LLM_BASE_URL": setup.llm_url,
        "VISAVIS_LLM_MODEL": setup.llm_model,
        "VISAVIS_LLM_CONTINUE": "llamacpp",
        **(_scripted(setup) if setup.instant else {"VISAVIS_ASR_WINDOW_S": str(setup.window_s)}),
    }
    async with running_stack(settings) as stack:
        # The voice alone needs no avatar's server; the peers have none either.
        await asyncio.to_thread(stack.processes["motion-sim"].stop)
        layout = stack.layout
        async with SessionApi(layout.grpc_target, layout.secret) as client:
            try:
                yield Visavis(stack, client, setup)
            finally:
                (folder / "visavis.log").write_text(stack.logs(1000))
                (folder / "metrics.txt").write_text(await asyncio.to_thread(_metrics, stack))


def _metrics(stack: RunningStack) -> str:
    found = ""
    for name in ("egress", "llm", "asr", "tts"):
        url = str(stack.processes[name].ready_url).replace("/readyz", "/metrics")
        with urlopen(url, timeout=5) as response:
            found += response.read().decode()
    return found


def _scripted(setup: Setup) -> Mapping[str, str]:
    return {
        "VISAVIS_ASR_ENGINE": "fake",
        "VISAVIS_ASR_FAKE_TEXT": setup.transcript,
        "VISAVIS_LLM_ENGINE": "fake",
        "VISAVIS_LLM_FAKE_TEXT": setup.answer,
        "VISAVIS_TTS_ENGINE": "fake",
    }


@asynccontextmanager
async def livekit_agents(
    server: LiveKitServer, setup: Setup, folder: Path
) -> AsyncIterator[System]:
    """A registered worker; gone afterwards."""
    port = free_port()
    async with AsyncExitStack() as stack:
        rooms = await stack.enter_async_context(_rooms(server))
        peer = LiveKitAgents(rooms, setup, folder, worker=None)  # type: ignore[arg-type]
        program = environment("peers_livekit") / "bin" / "python"
        peer.worker = ServerProcess(
            name="livekit-agents",
            command=[str(program), "-m", "tests.bench.peers.livekit_agents_bot", "start"],
            log=folder / "livekit-agents.log",
            environ={
                **peer._environ(),
                "LIVEKIT_URL": server.url,
                "LIVEKIT_API_KEY": server.api_key,
                "LIVEKIT_API_SECRET": server.api_secret,
                "BENCH_PORT": str(port),
            },
            stop_timeout_s=8.0,
        )
        await asyncio.to_thread(peer.worker.start)
        stack.push_async_callback(asyncio.to_thread, peer.worker.stop)
        async with asyncio.timeout(_READY_S):
            while "registered worker" not in peer.worker.tail(200):
                await asyncio.sleep(0.1)
        yield peer


@asynccontextmanager
async def pipecat(server: LiveKitServer, setup: Setup, folder: Path) -> AsyncIterator[System]:
    """Nothing runs before the first call; all gone afterwards."""
    async with _rooms(server) as rooms:
        peer = Pipecat(rooms, setup, folder)
        try:
            yield peer
        finally:
            for bot in list(peer.bots.values()):
                await asyncio.to_thread(bot.stop)


@asynccontextmanager
async def _rooms(server: LiveKitServer) -> AsyncIterator[_Rooms]:
    url = server.url.replace("ws://", "http://")
    async with livekit.LiveKitAPI(url, server.api_key, server.api_secret) as admin:
        yield _Rooms(server, admin)


SYSTEMS = {"visavis": visavis, "livekit": livekit_agents, "pipecat": pipecat}
