"""One confirmed connection: audio in, playback and its reports out, the vendor's limits."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Literal, Protocol

from visavis_motion_sim import wire
from visavis_motion_sim.faults import Faults
from visavis_motion_sim.mouth import TOPIC, Motion, encode
from visavis_motion_sim.playback import Fed
from visavis_motion_sim.player import Player
from visavis_motion_sim.stage import Stage
from visavis_motion_sim.stats import ConnectionStats
from visavis_runtime import log

CloseKind = Literal["drop", "idle", "duration", "normal", "room_lost"]

# Poses waiting for the data channel; more than this and the oldest are worthless.
_POSES_WAITING = 8

logger = log.get(__name__)


class Socket(Protocol):
    """The client's side, as far as a connection needs it."""

    async def send(self, data: bytes) -> None:
        """One binary message; silently nothing once closed."""

    async def close(self) -> None:
        """Close with code 1000."""

    def abort(self) -> None:
        """Cut the transport without a closing handshake."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds."""

    idle_s: float
    duration_s: float


class Connection:
    """Owns the player, the reports and the limits of one client socket."""

    def __init__(
        self,
        socket: Socket,
        stage: Stage,
        *,
        stats: ConnectionStats,
        faults: Faults,
        configure: wire.Configure,
        limits: Limits,
    ) -> None:
        self.stats = stats
        self._socket = socket
        self._stage = stage
        self._faults = faults
        self._limits = limits
        self._agent = configure.egress.agent_identity if configure.egress else ""
        self._rate_hz = configure.sample_rate_hz
        self._calls: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._poses: asyncio.Queue[Motion] = asyncio.Queue(_POSES_WAITING)
        self._began_s = self._active_s = time.monotonic()
        self._seen: str = ""
        self._player = Player(
            stage,
            self,
            sample_rate_hz=configure.sample_rate_hz,
            first_audio_delay_s=lambda: faults.first_audio_delay_ms / 1000,
        )

    async def serve(self, incoming: asyncio.Queue[bytes | None]) -> None:
        """Until the client has gone (None in `incoming`) or a limit closed the socket."""
        tasks = [
            asyncio.create_task(self._player.run()),
            asyncio.create_task(self._call_agent()),
            asyncio.create_task(self._send_poses()),
            asyncio.create_task(self._watch_limits()),
        ]
        reader = asyncio.create_task(self._read(incoming))
        try:
            done, _ = await asyncio.wait([reader, *tasks], return_when=asyncio.FIRST_COMPLETED)
            # None of the side tasks ends by itself: one that did has failed.
            for task in done:
                task.result()
        finally:
            for task in (reader, *tasks):
                task.cancel()
            await asyncio.gather(reader, *tasks, return_exceptions=True)
            self._count()

    async def end(self, kind: CloseKind) -> None:
        """Close from the server's side, as the vendor would."""
        self.stats.close_reason = self.stats.close_reason or kind
        idle = f"no audio input for {self._limits.idle_s:g} seconds"
        farewell = {
            "idle": (wire.DEADLINE_EXCEEDED, idle),
            "duration": (wire.DURATION_EXCEEDED, "maximum session duration exceeded"),
            "room_lost": (wire.UNAVAILABLE, "livekit egress connection lost"),
        }
        if kind == "drop":
            self._socket.abort()
            return
        if kind in farewell:
            await self.send_error(*farewell[kind])
        await self._socket.close()

    async def send_error(self, code: int, message: str, req_id: str = "") -> None:
        """A ServerError that leaves the connection open."""
        cid = self.stats.connection_id
        await self._socket.send(wire.error(code, message, connection_id=cid, req_id=req_id))

    def started(self, req_id: str) -> None:
        """Audience: queue the RPC; audio must not wait for its answer."""
        self._calls.put_nowait(("lk.playback_started", ""))

    def finished(self, req_id: str, position_ms: float, interrupted: bool) -> None:
        """Audience: queue the RPC behind the earlier ones."""
        self.stats.played += 1
        self._active_s = time.monotonic()
        body = {"playback_position": round(position_ms / 1000, 3), "interrupted": interrupted}
        self._calls.put_nowait(("lk.playback_finished", json.dumps(body)))

    def moved(self, motion: Motion) -> None:
        """Audience: newest poses win."""
        if self._poses.full():
            self._poses.get_nowait()
        self._poses.put_nowait(motion)

    async def _read(self, incoming: asyncio.Queue[bytes | None]) -> None:
        while (raw := await incoming.get()) is not None:
            try:
                self._handle(wire.decode(raw))
            except wire.WireError as error:
                await self.send_error(error.code, error.message)
        self.stats.close_reason = self.stats.close_reason or "client"

    def _handle(self, message: wire.ClientMessage) -> None:
        match message:
            case wire.AudioInput():
                self._audio(message)
            case wire.Interrupt():
                self.stats.interrupts += 1
                if not self._player.interrupt(message.req_id):
                    self.stats.interrupts_unknown += 1
            case wire.Configure():
                raise wire.WireError(wire.INVALID_ARGUMENT, "unexpected message type 1")

    def _audio(self, message: wire.AudioInput) -> None:
        self._active_s = time.monotonic()
        fed = self._player.feed(message.req_id, message.audio, message.end)
        self.stats.late_audio += fed is Fed.LATE
        if fed is not Fed.ACCEPTED:
            return
        self.stats.audio_ms += len(message.audio) / 2 / self._rate_hz * 1000
        if message.req_id != self._seen:
            self._seen = message.req_id
            self.stats.requests += 1

    async def _call_agent(self) -> None:
        while True:
            method, payload = await self._calls.get()
            if not self._agent:
                continue
            if self._faults.take_lost_rpc():
                self.stats.rpcs_lost += 1
                continue
            answer = await self._stage.call(self._agent, method, payload)
            self.stats.rpcs_sent += 1
            if answer is None:
                self.stats.rpcs_failed += 1
            elif answer != "ok":
                logger.warning("rpc_rejected", method=method, answer=answer[:40])

    async def _send_poses(self) -> None:
        while True:
            await self._stage.send(encode(await self._poses.get()), TOPIC)

    async def _watch_limits(self) -> None:
        """The limits, looked at ten times a second; ends only by being cancelled."""
        while True:
            self._count()
            if (kind := self._overdue()) is not None:
                await self.end(kind)
                await asyncio.Event().wait()
            await asyncio.sleep(0.1)

    def _overdue(self) -> CloseKind | None:
        now = time.monotonic()
        if self._stage.lost.is_set():
            return "room_lost"
        if now - self._began_s >= self._limits.duration_s:
            return "duration"
        if self._player.queue.busy:
            self._active_s = now
        return "idle" if now - self._active_s >= self._limits.idle_s else None

    def _count(self) -> None:
        self.stats.phantom_requests = self._player.queue.phantoms
        self.stats.underruns = self._player.queue.underruns
