"""Port: the place a connection performs on (a LiveKit room, or a fake in tests)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from visavis_motion_sim.wire import UNAVAILABLE, Egress


class StageError(Exception):
    """The room could not be joined; `code` is the ServerError's."""

    def __init__(self, message: str, code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.code = code


class Stage(Protocol):
    """A joined room with one published audio track. Mono s16le at the session's rate."""

    lost: asyncio.Event
    """Set when the room ended the connection, not we."""

    async def play(self, pcm: bytes) -> None:
        """Queue one 20 ms frame; returns late when the queue (<= 100 ms) is full."""

    def queued_ms(self) -> float:
        """Audio handed over and not yet played."""

    def clear(self) -> None:
        """Drop what is queued."""

    async def call(self, identity: str, method: str, payload: str) -> str | None:
        """RPC to a participant. None when it was not answered."""

    async def send(self, payload: bytes, topic: str) -> None:
        """Lossy data packet to everyone in the room."""

    async def leave(self) -> None:
        """Unpublish and disconnect. Idempotent."""


JoinStage = Callable[[Egress, int], Coroutine[Any, Any, Stage]]
"""(egress, sample rate in Hz) -> joined stage. Must never be cancelled; raises StageError."""
