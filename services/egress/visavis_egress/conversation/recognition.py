"""From an utterance to its words: snapshots, revisions, texts in whatever order they arrive."""

from dataclasses import dataclass

from visavis_egress.conversation.commands import Command, Transcribe
from visavis_egress.conversation.config import Timing
from visavis_egress.conversation.endpointing import Silence
from visavis_egress.conversation.listening import Ear


@dataclass(frozen=True, slots=True)
class Heard:
    """A finished utterance and when its steps happened."""

    text: str
    speech_end_at: float
    endpoint_at: float
    transcript_at: float


class Recognition:
    """One utterance's way to text.

    A revision is a snapshot of the utterance's open part; parts exist because a snapshot holds 28 s
    at most. Revisions rise over the holder's whole life: no result can be taken for another's.
    """

    def __init__(self, ear: Ear, timing: Timing) -> None:
        self._ear, self._timing = ear, timing
        self._endpoint = Silence(timing.endpoint_silence_s)
        self._revision = 0
        self.forget()

    def forget(self) -> None:
        """Drop the utterance and whatever is still being recognised of it."""
        self._ear.forget()
        self._parts: list[int] = []
        self._texts: dict[int, str] = {}
        self._asked: dict[int, float] = {}
        self._final: int | None = None
        self._speech_end_at = self._endpoint_at = 0.0
        self._transcript_at = 0.0

    @property
    def is_waiting(self) -> bool:
        """The turn's end was decided and its text is not there yet."""
        return self._final is not None

    @property
    def is_idle(self) -> bool:
        """Nobody is speaking and nothing is being recognised."""
        return not self._ear.is_open and not self._parts

    def is_over(self, now: float) -> bool:
        """The person has been silent for as long as the endpointing rule waits."""
        return self._ear.is_open and self._ear.silence_s(now) >= self._endpoint.wait_s()

    def advance(self, now: float, turn: int) -> list[Command]:
        """Ask for what has become ready to be recognised."""
        out: list[Command] = []
        if self._final is not None and self._ear.resumed:
            # The person went on: the snapshot was not the end, its text is of no use.
            self._asked.pop(self._final, None)
            self._texts.pop(self._final, None)
            self._final = None
        if self._final is None and (part := self._ear.take_overlong()):
            out.append(self._ask(part, turn, now))
            self._parts.append(self._revision)
        if self._final is None and self.is_over(now):
            out.append(self._ask(self._ear.snapshot(), turn, now))
            self._final = self._revision
            self._speech_end_at, self._endpoint_at = self._ear.last_voice_at, now
            self._ear.resumed = False
        return out

    def transcribed(self, revision: int, text: str, now: float) -> None:
        """Take in a result; one that nobody waits for is dropped."""
        if self._asked.pop(revision, None) is not None:
            self._texts[revision] = text.strip()
            self._transcript_at = now

    def expects(self, revision: int) -> bool:
        """True while the result of this snapshot is waited for."""
        return revision in self._asked

    def is_late(self, now: float) -> bool:
        """True when a result is overdue."""
        return any(now - asked >= self._timing.asr_timeout_s for asked in self._asked.values())

    def take(self) -> Heard | None:
        """The finished utterance, once; None while something of it is missing."""
        if self._final is None or self._asked:
            return None
        words = [self._texts[revision] for revision in (*self._parts, self._final)]
        heard = Heard(
            " ".join(word for word in words if word),
            self._speech_end_at,
            self._endpoint_at,
            self._transcript_at,
        )
        self.forget()
        return heard

    def _ask(self, pcm: bytes, turn: int, now: float) -> Transcribe:
        self._revision += 1
        self._asked[self._revision] = now
        return Transcribe(turn, self._revision, pcm)
