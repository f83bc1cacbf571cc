"""What a conversation wants done. The driver carries commands out in the order given."""

from dataclasses import dataclass, field
from enum import Enum


class Origin(Enum):
    """Where a turn came from."""

    GREETING = 1
    SPEECH = 2
    TEXT = 3
    SAY = 4


SAID = (Origin.SAY, Origin.GREETING)
"""Origins of turns that are spoken as they are."""


class State(Enum):
    """The agent's state as the room sees it in `lk.agent.state`."""

    INITIALIZING = "initializing"
    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


class Command:
    """Base of all commands."""

    __slots__ = ()


@dataclass(slots=True)
class Anchors:
    """When the steps of an answer happened, on the feeder's monotonic clock; None: did not."""

    origin: float
    endpoint: float | None = None
    transcript: float | None = None
    first_sentence: float | None = None
    first_audio: float | None = None
    handed_over: float | None = None
    playback_started: float | None = None


@dataclass(frozen=True, slots=True)
class Transcribe(Command):
    """Recognise a snapshot (mono s16le, 16 kHz).

    `turn` is the number it would get if it were committed now.
    """

    turn: int
    revision: int
    pcm: bytes
    partial: bool = False
    """For a caption, by a worker that has nothing else to do; its failure is of no matter."""


@dataclass(frozen=True, slots=True)
class ScoreText(Command):
    """Ask how likely the words end a turn; `before`: what the avatar said last. TextScored."""

    revision: int
    text: str
    before: str


@dataclass(frozen=True, slots=True)
class ScoreSound(Command):
    """Ask how likely the sound (mono s16le, 16 kHz) ends a turn. SoundScored."""

    revision: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Commit(Command):
    """Store the turn's event; answer with TurnCommitted or CommitRepeated."""

    turn: int
    origin: Origin
    text: str
    request_id: str = ""
    floor: int = 0
    """Results of lower epochs are not its answer."""
    protected: str = ""
    """Its first words, which speech does not stop."""


@dataclass(frozen=True, slots=True)
class Generate(Command):
    """Ask the language model stage; `verbatim` replaces the model.

    `speculative`: the turn is not committed, and may never be.
    """

    turn: int
    epoch: int
    messages: tuple[tuple[str, str], ...]
    prefix: tuple[str, ...] = ()
    verbatim: str = ""
    voice: str = ""
    speculative: bool = False


@dataclass(frozen=True, slots=True)
class Synthesize(Command):
    """Ask the speech stage for a sentence."""

    turn: int
    epoch: int
    sentence: int
    attempt: int
    text: str
    voice: str = ""


@dataclass(frozen=True, slots=True)
class RepairSpeech(Command):
    """Look into the stream for speech of this epoch that was missed."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    """Tell the workers that every lower epoch is void."""

    epoch: int


@dataclass(frozen=True, slots=True)
class PlayAudio(Command):
    """Hand samples (mono s16le, 24 kHz) of a request to the avatar."""

    request: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class EndAudio(Command):
    """The request has no more samples."""

    request: int


@dataclass(frozen=True, slots=True)
class StopAudio(Command):
    """Silence the avatar now."""

    request: int


@dataclass(frozen=True, slots=True)
class Duck(Command):
    """Lower the avatar's voice, or raise it again, where the avatar mode lets us."""

    is_low: bool


@dataclass(frozen=True, slots=True)
class SetState(Command):
    """Show the agent's state."""

    state: State


@dataclass(frozen=True, slots=True)
class UserCaption(Command):
    """Show the person's words; those that are not final are replaced by the next."""

    segment: str
    text: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class AgentCaption(Command):
    """Show further words of the avatar as they are heard; `final` closes the segment."""

    segment: str
    delta: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class RecordTranscript(Command):
    """Store what the person said."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class RecordSentence(Command):
    """Store a sentence that is going to be spoken."""

    turn: int
    sentence: int
    text: str


@dataclass(frozen=True, slots=True)
class RecordPlayback(Command):
    """Store that playback reached a sentence."""

    turn: int
    sentence: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class RecordOutcome(Command):
    """Store how a turn ended and what was heard of it."""

    turn: int
    origin: Origin
    input_text: str
    heard_text: str
    interrupted: bool
    anchors: Anchors
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class RecordResumed(Command):
    """Store that an answer goes on after a voice that was no turn."""

    turn: int


class Speculation(Enum):
    """What became of work that was begun before the turn was over."""

    USED = "used"
    CHANGED = "changed"
    """The words became others."""
    WENT_ON = "went_on"
    """The person spoke on for long."""
    DROPPED = "dropped"
    """The utterance was no turn, or something else came first."""


@dataclass(frozen=True, slots=True)
class CountSpeculation(Command):
    """Count what became of a speculative attempt."""

    epoch: int
    outcome: Speculation


@dataclass(frozen=True, slots=True)
class RecordPhraseOff(Command):
    """Store that a phrase of the character is not said in this session."""

    phrase: str


@dataclass(frozen=True, slots=True)
class RecordPresence(Command):
    """Store that the person came or left."""

    joined: bool


@dataclass(frozen=True, slots=True)
class RecordError(Command):
    """Store that something went wrong."""

    stage: str
    code: str
    message: str
    turn: int
    apologised: bool = False


@dataclass(frozen=True, slots=True)
class SaveCheckpoint(Command):
    """Store what a successor needs."""

    turn: int
    history: tuple[tuple[str, str], ...] = field(repr=False)
    epoch: int


@dataclass(frozen=True, slots=True)
class EndSession(Command):
    """End the session; `reason` is an EndReason of the public API."""

    reason: int
