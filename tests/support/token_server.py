"""The session API in the test's process, on a real NATS server, with a stand-in for the workers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from tests.support.session_api import Refusal, SessionApi, refusal
from tests.support.stand_in_worker import StandInWorker
from visavis_runtime import nats_bus
from visavis_runtime.bus import Bus
from visavis_runtime.health import Health
from visavis_token import characters
from visavis_token.api_keys import ApiKeys
from visavis_token.livekit_tokens import LiveKitTokens
from visavis_token.server import Server
from visavis_token.service import SessionService

SECRET, OTHER_SECRET = "a-secret-of-one-caller", "a-secret-of-another-caller"
KEYS = f"one:{SECRET},two:{OTHER_SECRET}"
OPERATOR = "two"
CHARACTERS = Path(__file__).parents[2] / "deploy" / "characters"
LIVEKIT_URL = "ws://127.0.0.1:7880"
LIVEKIT_SECRET = "s" * 32


@dataclass
class Setting:
    """Everything that a test stands on."""

    api: SessionApi
    address: str
    bus: Bus
    worker: StandInWorker
    server: Server

    async def settled(self) -> str:
        """The id of a fresh active session."""
        return (await self.api.create("nova")).session.session_id


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Setting]:
    """One server of the API on the bus at `url`."""
    bus = await nats_bus.NatsBus().connect(url, name="token-test")
    health = Health()
    health.check("bus", bus.ping)
    service = SessionService(
        bus,
        keys=ApiKeys.parse(KEYS),
        characters=characters.load(CHARACTERS),
        tokens=LiveKitTokens("key", LIVEKIT_SECRET),
        livekit_url=LIVEKIT_URL,
        operators={OPERATOR},
    )
    server, stopping = Server(service, health), asyncio.Event()
    await server.start("127.0.0.1", 0)
    running = asyncio.create_task(server.run(stopping))
    address = f"127.0.0.1:{server.port}"
    try:
        async with SessionApi(address, SECRET) as client:
            yield Setting(client, address, bus, StandInWorker(bus), server)
    finally:
        stopping.set()
        await running
        await bus.aclose()


async def refused(call: Awaitable[object]) -> Refusal:
    """How the API refuses a call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 10)
    found = refusal(caught.value)
    assert found.domain == "visavis"
    assert found.reason
    return found
