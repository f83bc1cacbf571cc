"""The two buses that the contract is held against, and a NATS server ready for use."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from deploy.nats.provision import provision
from tests.support.memory_bus import MemoryServer
from tests.support.servers import NatsServer, running_nats
from visavis_runtime import nats_bus
from visavis_runtime.bus import Bus

Connect = Callable[[], Awaitable[Bus]]


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    """A server with the streams and consumers in place."""
    async with running_nats() as running:
        await provision(running.url)
        yield running


async def _memory() -> AsyncIterator[Connect]:
    state = MemoryServer()

    async def connect() -> Bus:
        return state.connect()

    yield connect


async def _nats() -> AsyncIterator[Connect]:
    async with running_nats() as running, AsyncExitStack() as stack:
        await provision(running.url)

        async def connect() -> Bus:
            bus = await nats_bus.NatsBus().connect(running.url, name="contract")
            stack.push_async_callback(bus.aclose)
            return bus

        yield connect


@pytest.fixture(params=[_memory, _nats], ids=["memory", "nats"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Opens one more connection to the same bus."""
    async for opener in request.param():
        yield opener


@pytest.fixture
async def bus(connect: Connect) -> Bus:
    """One connection."""
    return await connect()
