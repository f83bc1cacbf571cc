"""The ingress WebSocket: admission, handshake, room, then a `Connection` until it is gone."""

import asyncio
import secrets
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from visavis_motion_sim import wire
from visavis_motion_sim.connection import CloseKind, Connection, Limits
from visavis_motion_sim.console import refusal_response
from visavis_motion_sim.faults import Faults
from visavis_motion_sim.settings import Settings
from visavis_motion_sim.stage import JoinStage, Stage, StageError
from visavis_motion_sim.stats import ConnectionStats, Stats
from visavis_motion_sim.tokens import Tokens, Verdict
from visavis_runtime import log

# The configuration has to follow the upgrade within this time.
_CONFIGURE_TIMEOUT_S = 10.0
# One message of the SDK is one caller's chunk; a minute of 48 kHz fits.
_MAX_MESSAGE_BYTES = 8 * 1024 * 1024

_TOKEN_REFUSALS = {
    Verdict.UNKNOWN: (400, "invalid session token"),
    Verdict.USED: (400, "invalid session token: already used for a connection"),
    Verdict.EXPIRED: (401, "token is expired"),
}

logger = log.get(__name__)

T = TypeVar("T")


class ClientSocket:
    """An aiohttp WebSocket with its incoming messages in a queue (None = gone)."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._socket = socket
        self._request = request

    async def pump(self) -> None:
        """Move messages until the socket is closed from either side; text counts as malformed."""
        try:
            async for message in self._socket:
                if message.type is WSMsgType.BINARY:
                    self.incoming.put_nowait(message.data)
                elif message.type is WSMsgType.TEXT:
                    self.incoming.put_nowait(b"\xff")
        finally:
            self.incoming.put_nowait(None)

    async def send(self, data: bytes) -> None:
        """One binary message; nothing once closed."""
        try:
            await self._socket.send_bytes(data)
        except ConnectionError:
            logger.debug("send_after_close")

    async def close(self) -> None:
        """Code 1000."""
        await self._socket.close()

    def abort(self) -> None:
        """Cut the TCP connection; the client sees 1006."""
        if self._request.transport is not None:
            self._request.transport.abort()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the ingress works with."""

    settings: Settings
    tokens: Tokens
    faults: Faults
    stats: Stats
    join: JoinStage


class Ingress:
    """Handler of `/v2/driveningress/websocket`."""

    def __init__(self, parts: Parts) -> None:
        self._settings = parts.settings
        self._tokens = parts.tokens
        self._faults = parts.faults
        self._stats = parts.stats
        self._join = parts.join
        self._avatars = parts.settings.avatars()
        self._connections: set[Connection] = set()
        self._background: set[asyncio.Task[Any]] = set()
        self._served: dict[asyncio.Event, ClientSocket] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One client from upgrade to close."""
        refusal = self._refuse(request)
        if refusal is not None:
            self._stats.refused(str(refusal.status))
            return refusal
        response = web.WebSocketResponse(timeout=2.0, max_msg_size=_MAX_MESSAGE_BYTES)
        await response.prepare(request)
        socket = ClientSocket(response, request)
        pump = asyncio.create_task(socket.pump())
        served = asyncio.Event()
        self._served[served] = socket
        try:
            await self._serve(socket, request.query.get("id", ""))
        finally:
            await response.close()
            await asyncio.gather(pump, return_exceptions=True)
            served.set()
            del self._served[served]
        return response

    async def end_all(self, kind: CloseKind) -> int:
        """Close every connection; returns how many there were."""
        connections = list(self._connections)
        await asyncio.gather(*(connection.end(kind) for connection in connections))
        return len(connections)

    async def error_all(self, code: int, message: str, req_id: str) -> int:
        """Send a ServerError on every connection."""
        connections = list(self._connections)
        for connection in connections:
            await connection.send_error(code, message, req_id)
        return len(connections)

    async def stop(self) -> None:
        """Close all sockets, leave all rooms, wait for joins that nobody wants any more."""
        await self.end_all("normal")
        remaining = dict(self._served)
        await asyncio.gather(*(socket.close() for socket in remaining.values()))
        await asyncio.gather(*(served.wait() for served in remaining))
        await asyncio.gather(*self._background, return_exceptions=True)

    def _refuse(self, request: web.Request) -> web.Response | None:
        """Admission before the upgrade; credentials from headers, else from the query."""
        if (ordered := self._faults.take_refusal(http=True)) is not None:
            return refusal_response(ordered.http_status or 400, ordered.message)
        query = request.query
        app_id = request.headers.get("X-App-ID", query.get("appId", ""))
        if app_id != self._settings.app_id:
            return refusal_response(404, "app id unrecognized")
        token = request.headers.get("X-Session-Key", query.get("sessionKey", ""))
        verdict = self._tokens.redeem(token, time.time())
        if verdict is not Verdict.GOOD:
            return refusal_response(*_TOKEN_REFUSALS[verdict])
        if query.get("id", "") not in self._avatars:
            return refusal_response(404, "avatar not found")
        return None

    async def _serve(self, socket: ClientSocket, avatar_id: str) -> None:
        connection_id = f"sim-{secrets.token_hex(8)}"
        try:
            configure, stage = await self._handshake(socket)
        except wire.WireError as error:
            self._stats.refused(str(error.code))
            logger.info("refused", connection_id=connection_id, code=error.code, text=error.message)
            await socket.send(wire.error(error.code, error.message, connection_id=connection_id))
            return
        try:
            await self._run(socket, configure, stage, ConnectionStats(connection_id, avatar_id))
        finally:
            # In a task of its own: leaving must complete even when this handler is cancelled.
            await asyncio.shield(self._spawn(stage.leave()))

    async def _run(
        self,
        socket: ClientSocket,
        configure: wire.Configure,
        stage: Stage,
        row: ConnectionStats,
    ) -> None:
        settings = self._settings
        if configure.egress is not None:
            row.room, row.identity = configure.egress.room_name, configure.egress.publisher_id
        asked_s = configure.egress.idle_timeout_s if configure.egress else 0
        connection = Connection(
            socket,
            stage,
            stats=row,
            faults=self._faults,
            configure=configure,
            limits=Limits(float(asked_s) or settings.idle_timeout_s, settings.max_duration_s),
        )
        self._connections.add(connection)
        self._stats.opened(row)
        bound = logger.bind(connection_id=row.connection_id, room=row.room)
        bound.info("opened", avatar_id=row.avatar_id)
        try:
            await socket.send(wire.confirm(row.connection_id))
            await connection.serve(socket.incoming)
        finally:
            self._connections.discard(connection)
            self._stats.closed(row)
            bound.info("closed", reason=row.close_reason, connected_s=round(row.connected_s(), 1))

    async def _handshake(self, socket: ClientSocket) -> tuple[wire.Configure, Stage]:
        """Configuration, then the room. Raises WireError to refuse."""
        try:
            async with asyncio.timeout(_CONFIGURE_TIMEOUT_S):
                raw = await socket.incoming.get()
        except TimeoutError as error:
            raise wire.WireError(wire.INVALID_ARGUMENT, "no configuration") from error
        configure = wire.decode(raw or b"")
        if not isinstance(configure, wire.Configure):
            text = "expected ClientConfigureSession message"
            raise wire.WireError(wire.INVALID_ARGUMENT, text)
        if (ordered := self._faults.take_refusal(http=False)) is not None:
            raise wire.WireError(ordered.code, ordered.message)
        limit = self._settings.max_sessions
        if limit and self._stats.open_connections >= limit:
            raise wire.WireError(wire.SESSION_DENIED, "session denied: concurrency limit")
        if configure.egress is None:
            raise wire.WireError(wire.UNIMPLEMENTED, "motion_sim needs a livekit_egress")
        await asyncio.sleep(self._faults.confirm_delay_ms / 1000)
        return configure, await self._enter(configure.egress, configure.sample_rate_hz)

    async def _enter(self, egress: wire.Egress, sample_rate_hz: int) -> Stage:
        """Join in a task that is never cancelled; one that comes too late is left again."""
        joining = self._spawn(self._join(egress, sample_rate_hz))
        try:
            done, _ = await asyncio.wait({joining}, timeout=self._settings.join_timeout_s)
        except asyncio.CancelledError:
            self._spawn(_leave_later(joining))
            raise
        if not done:
            self._spawn(_leave_later(joining))
            text = "failed to create egress connection: timed out"
            raise wire.WireError(wire.UNAVAILABLE, text)
        try:
            return joining.result()
        except StageError as error:
            text = f"failed to create egress connection: {error}"
            raise wire.WireError(error.code, text) from error

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


async def _leave_later(joining: asyncio.Task[Stage]) -> None:
    try:
        stage = await joining
    except StageError:
        return
    await stage.leave()
