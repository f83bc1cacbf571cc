"""The outer ports of egress, played by the test: a room, a voice in it, avatars, room admin."""

import asyncio
from dataclasses import dataclass, field

from visavis_egress.avatar import OnLost
from visavis_egress.errors import AvatarError, AvatarTrouble
from visavis_egress.room import (
    AvatarPlayed,
    AvatarPlays,
    MicrophoneOpened,
    PersonCame,
    PersonReplaced,
    RoomEvent,
    RoomListener,
)
from visavis_egress.seat import OnPlayback


@dataclass
class FakeVoice:
    """A track that takes everything at once, or only when `gate` is open."""

    captured: list[bytes] = field(default_factory=list)
    cleared: int = 0
    queued_s: float = 0.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def capture(self, pcm: bytes) -> None:
        await self.gate.wait()
        self.captured.append(pcm)

    def clear(self) -> None:
        self.cleared += 1


@dataclass
class FakeRoom:
    """Notes what is shown. `tell` (once open) is how the room reports."""

    open_error: Exception | None = None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0
    shown: list[tuple[str, ...]] = field(default_factory=list)
    voice: FakeVoice = field(default_factory=FakeVoice)
    person: str = ""
    """Who is bound."""
    present: set[str] = field(default_factory=set)
    """Who `bind` finds in the room."""

    async def open(self, listener: RoomListener) -> None:
        if self.open_error:
            raise self.open_error
        self._listener = listener
        self.opened.set()

    def tell(self, event: RoomEvent) -> None:
        """Report something."""
        self._listener(event)

    def bind(self, identity: str) -> None:
        if identity == self.person:
            return
        self.person = identity
        if not self.opened.is_set():
            return
        self.tell(PersonReplaced())
        if identity in self.present:
            self.tell(PersonCame())
            self.tell(MicrophoneOpened())

    async def show_state(self, state: str) -> None:
        self.shown.append(("state", state))

    async def show_user_words(self, segment: str, text: str, *, final: bool = True) -> None:
        self.shown.append(("user" if final else "interim", segment, text))

    async def show_agent_words(self, segment: str, delta: str, *, final: bool) -> None:
        self.shown.append(("agent", segment, delta))

    async def open_voice(self) -> FakeVoice:
        return self.voice

    async def aclose(self) -> None:
        self.closed += 1


class FakeAvatar:
    """Plays at once and says so; `start_error` is what its start raises."""

    def __init__(
        self, on_lost: OnLost, on_playback: OnPlayback, start_error: AvatarError | None = None
    ) -> None:
        self.on_lost, self._tell, self._start_error = on_lost, on_playback, start_error
        self.is_frozen = False
        """Takes samples and reports no end."""
        self.gone: AvatarError | None = None
        self.heard = bytearray()
        self.acts: list[str] = []
        self.closed = 0
        self._begun = False

    async def start(self) -> str:
        if self._start_error:
            raise self._start_error
        return "connection"

    async def play(self, pcm: bytes) -> None:
        self._act("play")
        self.heard += pcm
        if not self._begun:
            self._begun = True
            self._tell(AvatarPlays())

    async def finish(self) -> None:
        self._act("finish")
        if not self.is_frozen:
            self._report(interrupted=False)

    async def interrupt(self) -> None:
        self._act("interrupt")
        self._report(interrupted=True)

    async def duck(self, *, is_low: bool) -> None:
        self._act("duck" if is_low else "unduck")

    async def aclose(self) -> None:
        self.closed += 1

    def _act(self, name: str) -> None:
        self.acts.append(name)
        if self.gone:
            raise self.gone

    def _report(self, *, interrupted: bool) -> None:
        self._begun = False
        self._tell(AvatarPlayed(len(self.heard) / 48_000, interrupted))


@dataclass
class Casting:
    """Makes avatars; `errors` are raised by their starts in turn, `make_errors` by the making."""

    errors: list[AvatarError | None] = field(default_factory=list)
    make_errors: list[Exception] = field(default_factory=list)
    made: list[FakeAvatar] = field(default_factory=list)

    async def __call__(self, on_lost: OnLost, on_playback: OnPlayback) -> FakeAvatar:
        if self.make_errors:
            raise self.make_errors.pop(0)
        error = self.errors.pop(0) if self.errors else None
        self.made.append(FakeAvatar(on_lost, on_playback, error))
        return self.made[-1]


@dataclass
class FakeAdmin:
    """Rooms as a set; `errors` are raised by the next acts in turn."""

    rooms: set[str] = field(default_factory=set)
    acts: list[tuple[str, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    async def create(self, session_id: str) -> str:
        self._note("create", session_id)
        self.rooms.add(session_id)
        return f"RM_{session_id}"

    async def delete(self, session_id: str) -> None:
        self._note("delete", session_id)
        self.rooms.discard(session_id)

    async def evict_avatars(self, session_id: str, *, keep: str) -> None:
        self._note("evict", session_id)

    def agent_token(self, session_id: str) -> str:
        return "token"

    def avatar_token(self, session_id: str, identity: str) -> str:
        return "token"

    async def aclose(self) -> None:
        """Nothing is open."""

    def _note(self, act: str, session_id: str) -> None:
        self.acts.append((act, session_id))
        if self.errors:
            raise self.errors.pop(0)


def trouble(code: str) -> AvatarTrouble:
    """What a vendor says."""
    return AvatarTrouble(code, "as scripted", "connection", "request")
