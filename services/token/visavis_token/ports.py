"""What the session API asks of the outside, beside the bus (`visavis_runtime.bus.Bus`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RoomToken:
    """A signed permission to join one room under one identity; `expires` is aware, in UTC."""

    text: str
    expires: datetime


class RoomTokens(Protocol):
    """Signs room tokens, without asking the room's server."""

    def mint(self, room: str, identity: str, *, name: str = "", metadata: str = "") -> RoomToken:
        """A person's token, good for a first join within ten minutes; name and metadata are what
        others in the room see."""
