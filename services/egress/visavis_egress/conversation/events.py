"""What a conversation is told. Every event is a fact that has happened, in any order of arrival."""

from dataclasses import dataclass

from visavis_egress.conversation.config import TurnTaking


class Event:
    """Base of all events."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class PersonJoined(Event):
    """The bound person is in the room."""


@dataclass(frozen=True, slots=True)
class PersonLeft(Event):
    """The bound person is not in the room any more."""


@dataclass(frozen=True, slots=True)
class PersonReplaced(Event):
    """Another person is bound from now on; PersonJoined follows if they are in the room."""


@dataclass(frozen=True, slots=True)
class MicrophoneReady(Event):
    """The person's microphone is subscribed."""


@dataclass(frozen=True, slots=True)
class VoiceFrame(Event):
    """32 ms of the person's microphone (mono s16le, 16 kHz) and the probability of speech in it."""

    pcm: bytes
    probability: float


@dataclass(frozen=True, slots=True)
class MicrophoneStalled(Event):
    """Nothing of the person's microphone arrives any more: what is heard now is not silence."""


@dataclass(frozen=True, slots=True)
class MicrophoneFlows(Event):
    """It arrives again."""


@dataclass(frozen=True, slots=True)
class TalkPressed(Event):
    """The person holds the button: what is said from now on belongs to one turn."""


@dataclass(frozen=True, slots=True)
class TalkReleased(Event):
    """The person has let the button go: the turn is over."""


@dataclass(frozen=True, slots=True)
class Transcribed(Event):
    """The text of one snapshot of an utterance; `confidence` 0 to 1, 0: the engine tells none."""

    revision: int
    text: str
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class PartlyTranscribed(Event):
    """What was said so far, while the person goes on."""

    revision: int
    text: str


@dataclass(frozen=True, slots=True)
class TextScored(Event):
    """How likely the words of a snapshot end a turn, 0 to 1; None: nobody could tell."""

    revision: int
    probability: float | None


@dataclass(frozen=True, slots=True)
class SoundScored(Event):
    """How likely the sound of a snapshot ends a turn, 0 to 1; None: nobody could tell."""

    revision: int
    probability: float | None


@dataclass(frozen=True, slots=True)
class TranscribeFailed(Event):
    """Recognition gave up on a snapshot."""

    revision: int
    code: str


@dataclass(frozen=True, slots=True)
class TextTyped(Event):
    """The person typed something to be answered at once."""

    text: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class SayRequested(Event):
    """Somebody wants a text spoken after what is being spoken now."""

    request_id: str
    text: str
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class InterruptRequested(Event):
    """Somebody wants the running answer stopped."""


@dataclass(frozen=True, slots=True)
class PersonaChanged(Event):
    """From the next turn on the avatar is told this and speaks so; may be what it is already."""

    instructions: str
    voice: str


@dataclass(frozen=True, slots=True)
class TurnTakingChanged(Event):
    """From now on turns are taken so; may be what it is already."""

    turn_taking: TurnTaking


@dataclass(frozen=True, slots=True)
class TurnCommitted(Event):
    """The turn's event is stored: from here on the turn will not be lost."""

    turn: int


@dataclass(frozen=True, slots=True)
class CommitRepeated(Event):
    """The turn was committed before under another number; this one is not to be spoken."""

    turn: int


@dataclass(frozen=True, slots=True)
class SentencesReady(Event):
    """All sentences of an attempt at an answer so far."""

    epoch: int
    sentences: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class GenerateFailed(Event):
    """The language model stage gave up on an attempt."""

    epoch: int
    code: str


@dataclass(frozen=True, slots=True)
class SpeechArrived(Event):
    """Samples of a sentence (mono s16le, 24 kHz), `offset` samples after its beginning."""

    epoch: int
    sentence: int
    offset: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechEnded(Event):
    """The sentence has `samples` samples; no more will come of this synthesis."""

    epoch: int
    sentence: int
    samples: int


@dataclass(frozen=True, slots=True)
class SynthesizeFailed(Event):
    """The speech stage gave up on a sentence."""

    epoch: int
    sentence: int
    code: str


@dataclass(frozen=True, slots=True)
class PlaybackStarted(Event):
    """The avatar began to play; the vendor's reports name no request, the newest is meant."""


@dataclass(frozen=True, slots=True)
class PlaybackFinished(Event):
    """The avatar ended its newest request after `position_s` seconds of that request were heard."""

    position_s: float
    interrupted: bool


@dataclass(frozen=True, slots=True)
class AvatarReady(Event):
    """An avatar (or the voice alone) can take audio."""


@dataclass(frozen=True, slots=True)
class AvatarLost(Event):
    """The avatar's connection is gone; what it was given and has not played will not be heard.

    AvatarReady or AvatarFailed follows.
    """


@dataclass(frozen=True, slots=True)
class AvatarFailed(Event):
    """The vendor refused for good and the session must not go on without a face."""


@dataclass(frozen=True, slots=True)
class EndRequested(Event):
    """Somebody asked for the end; `reason` is an EndReason of the public API."""

    reason: int


@dataclass(frozen=True, slots=True)
class DrainRequested(Event):
    """The process is asked to stop: finish the running turn, begin no other."""
