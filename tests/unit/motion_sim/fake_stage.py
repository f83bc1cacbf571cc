"""A stage without a room: real time, but nobody listens."""

import asyncio
import time

from visavis_motion_sim.wire import Egress


class FakeStage:
    """Keeps what it was given. `queue_ms` is the lead it allows, as a room's source does."""

    def __init__(self, queue_ms: float = 100.0, answer: str | None = "ok") -> None:
        self.lost = asyncio.Event()
        self.frames: list[bytes] = []
        self.cleared = 0
        self.calls: list[tuple[str, str, str]] = []
        self.packets: list[bytes] = []
        self.left = False
        self._queue_ms = queue_ms
        self._answer = answer
        self._until_s = 0.0

    async def play(self, pcm: bytes) -> None:
        """Accept a 20 ms frame, late when the queue is full."""
        self.frames.append(pcm)
        self._until_s = max(self._until_s, time.monotonic()) + 0.02
        await asyncio.sleep(max(0.0, (self.queued_ms() - self._queue_ms) / 1000))

    def queued_ms(self) -> float:
        """What would not have been heard yet."""
        return max(0.0, self._until_s - time.monotonic()) * 1000

    def clear(self) -> None:
        """Forget the queue."""
        self.cleared += 1
        self._until_s = 0.0

    async def call(self, identity: str, method: str, payload: str) -> str | None:
        """Note the RPC."""
        self.calls.append((identity, method, payload))
        return self._answer

    async def send(self, payload: bytes, topic: str) -> None:
        """Note the packet."""
        self.packets.append(payload)

    async def leave(self) -> None:
        """Note it."""
        self.left = True


class FakeRooms:
    """A `JoinStage` that hands out fake stages and remembers them."""

    def __init__(self) -> None:
        self.stages: list[FakeStage] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def join(self, egress: Egress, sample_rate_hz: int) -> FakeStage:
        """Join at once, or when the gate opens, or fail."""
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.stages.append(FakeStage())
        return self.stages[-1]
