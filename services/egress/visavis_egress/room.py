"""The room port: what a session sees of, and shows in, its LiveKit room."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from visavis_runtime.subjects import ASR_RATE_HZ

MICROPHONE_RATE_HZ = ASR_RATE_HZ


class RoomEvent:
    """Base of what a room reports."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class PersonCame(RoomEvent):
    """The bound person is in the room."""


@dataclass(frozen=True, slots=True)
class PersonWent(RoomEvent):
    """The bound person is gone."""


@dataclass(frozen=True, slots=True)
class PersonReplaced(RoomEvent):
    """Another person is bound from now on; PersonCame follows if they are in the room."""


@dataclass(frozen=True, slots=True)
class MicrophoneOpened(RoomEvent):
    """The bound person's microphone is subscribed."""


@dataclass(frozen=True, slots=True)
class MicrophoneSound(RoomEvent):
    """20 ms of it, mono s16le at 16 kHz."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class MicrophoneStalled(RoomEvent):
    """Packets of it are missing: its sound is made up, and what seems silent need not be."""


@dataclass(frozen=True, slots=True)
class MicrophoneFlows(RoomEvent):
    """They come again, or the microphone was muted or closed."""


@dataclass(frozen=True, slots=True)
class ChatArrived(RoomEvent):
    """The bound person typed a text."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatRefused(RoomEvent):
    """The bound person typed something that cannot be taken; `reason` names the field."""

    reason: str


@dataclass(frozen=True, slots=True)
class InterruptAsked(RoomEvent):
    """The bound person wants the avatar to stop."""


@dataclass(frozen=True, slots=True)
class EndAsked(RoomEvent):
    """The bound person hangs up."""


@dataclass(frozen=True, slots=True)
class TurnStartAsked(RoomEvent):
    """The bound person holds the button: `visavis.turn` with "start"."""


@dataclass(frozen=True, slots=True)
class TurnEndAsked(RoomEvent):
    """The bound person has let it go: `visavis.turn` with "end"."""


@dataclass(frozen=True, slots=True)
class OtherAvatarCame(RoomEvent):
    """Somebody else than our avatar publishes on our behalf: an older holder's face."""


@dataclass(frozen=True, slots=True)
class AvatarPlays(RoomEvent):
    """The avatar's participant reports the start of a playback."""


@dataclass(frozen=True, slots=True)
class AvatarPlayed(RoomEvent):
    """The avatar's participant reports the end of one, `position_s` seconds into it."""

    position_s: float
    interrupted: bool


@dataclass(frozen=True, slots=True)
class RoomLost(RoomEvent):
    """The connection is over and will not come back by itself.

    `is_replaced`: somebody else joined under our identity, which only a newer holder does.
    """

    reason: str
    is_replaced: bool


RoomListener = Callable[[RoomEvent], None]


class Voice(Protocol):
    """A track of our own in the room, for sessions without a face."""

    async def capture(self, pcm: bytes) -> None:
        """Queue mono s16le samples at 24 kHz; returns when at most 100 ms are queued.

        One call at a time.
        """

    def clear(self) -> None:
        """Drop what is queued."""

    @property
    def queued_s(self) -> float:
        """Seconds queued and not played."""


class Room(Protocol):
    """A connection to one session's room."""

    async def open(self, listener: RoomListener) -> None:
        """Join. Raises RoomUnavailable. Events come on the event loop until `aclose`."""

    def bind(self, identity: str) -> None:
        """Listen to this person and to nobody else; PersonReplaced if it was another one."""

    async def show_state(self, state: str) -> None:
        """Set `lk.agent.state`."""

    async def show_user_words(self, segment: str, text: str, *, final: bool = True) -> None:
        """Caption the person's words: each text replaces its segment's former one.

        A final text that is empty takes the segment back.
        """

    async def show_agent_words(self, segment: str, delta: str, *, final: bool) -> None:
        """Caption further words of the agent; `final` closes the segment."""

    async def open_voice(self) -> Voice:
        """Publish a track of our own (once)."""

    async def aclose(self) -> None:
        """Leave. Harmless when already gone."""


class RoomAdmin(Protocol):
    """Acts on rooms from outside, and the tokens to join them."""

    async def create(self, session_id: str) -> str:
        """Make sure that the room exists. Returns its id; raises RoomUnavailable."""

    async def delete(self, session_id: str) -> None:
        """Make sure that it does not. Raises RoomUnavailable."""

    async def evict_avatars(self, session_id: str, *, keep: str) -> None:
        """Remove everybody but `keep` who publishes on behalf of the agent.

        Raises RoomUnavailable.
        """

    def agent_token(self, session_id: str) -> str:
        """A token for our own connection."""

    def avatar_token(self, session_id: str, identity: str) -> str:
        """A token for the avatar vendor's publisher."""

    async def aclose(self) -> None:
        """Close connections."""


def agent_identity(session_id: str) -> str:
    """Our identity in the room."""
    return f"agent-{session_id}"


def avatar_identity(session_id: str, generation: int) -> str:
    """The identity of the avatar's publisher."""
    return f"avatar-{session_id}-{generation}"
