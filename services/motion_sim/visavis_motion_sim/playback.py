"""What is played next: requests in order of arrival, 20 ms frames, interrupts. No clock."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

FRAME_MS = 20
# Interrupted and finished request ids that are remembered, so that late audio is recognised.
_REMEMBERED = 64


class Fed(Enum):
    """What became of a piece of audio input."""

    ACCEPTED = auto()
    PHANTOM = auto()
    LATE = auto()


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of PCM to play now; `position_ms` is where in its request it begins."""

    req_id: str
    pcm: bytes
    position_ms: int


@dataclass(frozen=True, slots=True)
class End:
    """The head request is handed out; call `complete()` once it has been heard."""

    req_id: str
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Stop:
    """An interrupted request: `sent_ms` were handed out, the unheard rest is to be cleared."""

    req_id: str
    sent_ms: int


Step = Frame | End | Stop


@dataclass(slots=True)
class _Request:
    req_id: str
    audio: bytearray = field(default_factory=bytearray)
    ended: bool = False
    sent_ms: int = 0
    dry: bool = False


class PlaybackQueue:
    """Feed audio and interrupts in, read steps out. One per connection, single-threaded."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._frame_bytes = sample_rate_hz * FRAME_MS // 1000 * 2
        self._requests: deque[_Request] = deque()
        self._stops: deque[Stop] = deque()
        self._done: deque[str] = deque(maxlen=_REMEMBERED)
        self.phantoms = 0
        self.underruns = 0

    @property
    def busy(self) -> bool:
        """Whether anything is still to be played or stopped."""
        return bool(self._requests or self._stops)

    def feed(self, req_id: str, pcm: bytes, end: bool) -> Fed:
        """Append s16le PCM to a request, creating it on first sight."""
        if req_id in self._done:
            return Fed.LATE
        request = self._find(req_id)
        if request is None:
            if end and not pcm:
                self.phantoms += 1
                self._done.append(req_id)
                return Fed.PHANTOM
            request = _Request(req_id)
            self._requests.append(request)
        if request.ended:
            return Fed.LATE
        request.audio += pcm
        request.ended = end
        request.dry = request.dry and not pcm
        return Fed.ACCEPTED

    def interrupt(self, req_id: str) -> bool:
        """Drop this request and all before it. False if it is unknown or already heard."""
        if self._find(req_id) is None:
            return False
        for request in self._pop_until(req_id):
            self._done.append(request.req_id)
            self._stops.append(Stop(request.req_id, request.sent_ms))
        return True

    def starting(self) -> str | None:
        """The head request, if the next step would be its first frame."""
        if self._stops or not self._requests:
            return None
        head = self._requests[0]
        return head.req_id if not head.sent_ms and self._ready(head) else None

    def next(self) -> Step | None:
        """The next step, or None while there is nothing to do."""
        if self._stops:
            return self._stops.popleft()
        self._drop_empty()
        if not self._requests:
            return None
        head = self._requests[0]
        if self._ready(head):
            return self._take(head)
        if head.ended:
            return End(head.req_id, head.sent_ms)
        if head.sent_ms and not head.dry:
            head.dry = True
            self.underruns += 1
        return None

    def complete(self) -> None:
        """Forget the head request: it has been heard to its end."""
        self._done.append(self._requests.popleft().req_id)

    def _find(self, req_id: str) -> _Request | None:
        return next((r for r in self._requests if r.req_id == req_id), None)

    def _pop_until(self, req_id: str) -> Iterator[_Request]:
        while True:
            request = self._requests.popleft()
            yield request
            if request.req_id == req_id:
                return

    def _drop_empty(self) -> None:
        """A request that ended without one sample is a phantom that came in two pieces."""
        while self._requests:
            head = self._requests[0]
            if not head.ended or head.sent_ms or head.audio:
                return
            self.phantoms += 1
            self.complete()

    def _ready(self, request: _Request) -> bool:
        return len(request.audio) >= self._frame_bytes or (request.ended and bool(request.audio))

    def _take(self, request: _Request) -> Frame:
        pcm = bytes(request.audio[: self._frame_bytes]).ljust(self._frame_bytes, b"\0")
        del request.audio[: self._frame_bytes]
        frame = Frame(request.req_id, pcm, request.sent_ms)
        request.sent_ms += FRAME_MS
        return frame
