"""A memory server whose clock can be moved."""

import time

import pytest

from tests.support.memory_bus import MemoryServer


class MovableClock:
    """Unix seconds, plus what it was moved by."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset_s


@pytest.fixture
def clock() -> MovableClock:
    """The server's clock."""
    return MovableClock()


@pytest.fixture
async def server(clock: MovableClock) -> MemoryServer:
    """Empty streams."""
    server = MemoryServer(clock)
    server.longest_fetch_s = 0.05
    return server
