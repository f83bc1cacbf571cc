"""The avatar port: a face (or just a voice) that speaks samples into the room."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from visavis_egress.errors import AvatarTrouble

OnLost = Callable[[AvatarTrouble], None]
"""Called once, on the event loop, when an avatar that had started is gone without being closed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a client needs to know to show the face."""

    provider: str
    mode: str
    app_id: str = ""
    avatar_id: str = ""
    region: str = ""


class Avatar(Protocol):
    """One connection's worth of avatar. Samples are mono s16le at 24 kHz.

    Playback is reported by the room (the vendor calls us there) or by the avatar itself.
    """

    async def start(self) -> str:
        """Be ready to speak; returns a connection id. Raises AvatarRefused, AvatarUnavailable."""

    async def play(self, pcm: bytes) -> None:
        """Speak samples of the open request, or open one. Raises AvatarUnavailable."""

    async def finish(self) -> None:
        """The open request has no more samples. Raises AvatarUnavailable."""

    async def interrupt(self) -> None:
        """Be silent now; the open request is over. Raises AvatarUnavailable."""

    async def duck(self, *, is_low: bool) -> None:
        """Lower the voice, or raise it again; where the mode has no volume, nothing happens."""

    async def aclose(self) -> None:
        """Let go. Harmless when already gone; `on_lost` is not called."""
