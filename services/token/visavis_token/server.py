"""The gRPC server around the session API: reflection, health, and an orderly end."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from visavis.session.v1 import session_pb2
from visavis.session.v1.session_pb2_grpc import add_SessionServiceServicer_to_server
from visavis_runtime import log
from visavis_runtime.health import Health
from visavis_token.service import SessionService

SERVICE_NAME = session_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name
GRACE_S = 5.0
"""Longest wait for running calls: the longest one, Say, takes 3 s."""
HEALTH_LOOK_S = 2.0
_OPTIONS = (
    # Otherwise a second process on the same port is not refused but takes half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 256 * 1024),
)

logger = log.get(__name__)


class Server:
    """Serves until `stop`; `port` is the real one where 0 was asked for."""

    def __init__(self, service: SessionService, readiness: Health) -> None:
        self.port = 0
        self._service, self._readiness = service, readiness
        self._server = grpc.aio.server(options=_OPTIONS)
        self._answers = health.aio.HealthServicer()  # type: ignore[attr-defined]  # untyped
        add_SessionServiceServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._answers, self._server)
        names = (SERVICE_NAME, reflection.SERVICE_NAME, "grpc.health.v1.Health")
        reflection.enable_server_reflection(names, self._server)

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises RuntimeError when the port is taken."""
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        await self._server.start()
        logger.info("grpc.listening", host=host, port=self.port)

    async def run(self, stopping: asyncio.Event) -> None:
        """Show the service's readiness as gRPC health until `stopping`, then drain and end."""
        while not stopping.is_set():
            await self._show_health()
            try:
                async with asyncio.timeout(HEALTH_LOOK_S):
                    await stopping.wait()
            except TimeoutError:
                continue
        await self.stop()

    async def stop(self) -> None:
        """Refuse new calls, close the event streams, wait for the rest."""
        await self._answers.enter_graceful_shutdown()
        self._service.stopping.set()
        await self._server.stop(GRACE_S)

    async def _show_health(self) -> None:
        reasons = await self._readiness.reasons()
        states = health_pb2.HealthCheckResponse
        state = states.NOT_SERVING if reasons else states.SERVING
        for name in ("", SERVICE_NAME):
            await self._answers.set(name, state)
