"""A memory server whose clock can be moved, and clocks for leases."""

import time

import pytest

from tests.support.memory_bus import MemoryServer
from tests.unit.egress.stage import Stage


class Clock:
    """Seconds that pass only when told; called, it gives the time."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class MovableClock:
    """Unix seconds, plus what it was moved by."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset_s


@pytest.fixture
def clock() -> Clock:
    """The holder's monotonic clock."""
    return Clock()


@pytest.fixture
def server_clock() -> MovableClock:
    """The bus' clock."""
    return MovableClock()


@pytest.fixture
async def server(server_clock: MovableClock) -> MemoryServer:
    """Empty streams."""
    server = MemoryServer(server_clock)
    server.longest_fetch_s = 0.05
    return server


@pytest.fixture
async def stage(server: MemoryServer) -> Stage:
    """The bus, the model stages at work, no process yet."""
    one = Stage(server)
    await one.stages.listen()
    return one
