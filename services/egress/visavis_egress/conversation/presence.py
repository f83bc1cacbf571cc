"""Who is in the room, and the ends that follow from it."""

from visavis.session.v1 import session_pb2
from visavis_egress.conversation.config import Timing


class Presence:
    """The bound person's coming and going."""

    def __init__(self, timing: Timing, now: float, elapsed_s: float = 0.0) -> None:
        self._timing = timing
        self._began_at = now - elapsed_s
        # A successor finds out only after its own start who is in the room.
        self._waits_since = now
        self._left_at: float | None = None
        self._joined_at: float | None = None
        self._stirred_at = now
        self._has_microphone = False
        self.counts_as_there = False
        """In the room, or out of it for so short that it may be a connection made anew."""

    @property
    def is_there(self) -> bool:
        """The person is in the room."""
        return self._joined_at is not None and self._left_at is None

    def joined(self, now: float) -> bool:
        """The person came (back); True unless it is as if they had never been away."""
        is_news, self.counts_as_there = not self.counts_as_there, True
        self._joined_at, self._left_at = now, None
        return is_news

    def left(self, now: float) -> None:
        """The person went; for how long is not known yet."""
        if self.is_there:
            self._left_at, self._has_microphone = now, False

    def replaced(self, now: float) -> bool:
        """Somebody else is waited for; True if the one before counted as there."""
        was_there, self.counts_as_there = self.counts_as_there, False
        self._has_microphone = False
        if self._joined_at is not None:
            self._left_at = now
        return was_there

    def has_gone(self, now: float) -> bool:
        """True once for every leave that no join has followed in time."""
        if not self.counts_as_there or self._left_at is None:
            return False
        self.counts_as_there = now - self._left_at < self._timing.back_within_s
        return not self.counts_as_there

    def heard(self) -> None:
        """The microphone is subscribed."""
        self._has_microphone = True

    def stirred(self, now: float) -> None:
        """Somebody speaks, or is about to."""
        self._stirred_at = now

    def may_greet(self, now: float) -> bool:
        """The person can be expected to hear a greeting."""
        if not self.is_there or self._joined_at is None:
            return False
        return self._has_microphone or now - self._joined_at >= self._timing.greeting_wait_s

    def end_reason(self, now: float) -> int | None:
        """Why the session is over, an EndReason; None while it is not."""
        if now - self._began_at >= self._timing.max_duration_s:
            return session_pb2.END_REASON_MAX_DURATION
        if self._joined_at is None and now - self._waits_since >= self._timing.never_joined_s:
            return session_pb2.END_REASON_NEVER_JOINED
        if self._left_at is not None and now - self._left_at >= self._timing.client_gone_s:
            return session_pb2.END_REASON_CLIENT_LEFT
        return (
            session_pb2.END_REASON_SILENCE
            if self.is_silent(now, self._timing.max_silence_s)
            else None
        )

    def is_silent(self, now: float, for_s: float) -> bool:
        """The person is there and nobody has said a word for so long; 0: never."""
        if not for_s or not self.is_there or self._joined_at is None:
            return False
        return now - max(self._stirred_at, self._joined_at) >= for_s
