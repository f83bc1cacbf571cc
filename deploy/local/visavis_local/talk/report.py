"""What a conversation was like: plain numbers and texts, for judging and printing."""

from dataclasses import dataclass, field, replace

STEPS = (
    ("transcript", "transcript"),
    ("first_sentence", "first sentence"),
    ("first_audio", "first PCM"),
    ("endpoint", "endpoint decided"),
    ("handed_over", "handed to the avatar"),
    ("playback_started", "playback started"),
)
"""Names in the event's waterfall, and what they are called in print, in their usual order: the
answer is begun before it is decided that the person is done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the avatar. Seconds; None: it did not happen or is not known."""

    name: str
    is_generated: bool
    """By the language model; otherwise it is a text that was given with a Say."""
    said: str
    """The text as announced, all sentences of it."""
    heard: str
    """What the event says that the person heard of it."""
    is_interrupted: bool
    waterfall: dict[str, float]
    """Step -> seconds after the holder's end of speech (of a Say: after its commit)."""
    first_sound_s: float | None
    """By the caller's clock, after the end of the trimmed speech (of a Say: after the call)."""
    level_dbfs: float
    sound_s: float
    """From the first to the last audible moment."""
    recognised: str = ""
    word_error_rate: float | None = None

    def understood_as(self, recognised: str, word_error_rate: float | None) -> "Answer":
        """The same, with what a recogniser made of the recording."""
        return replace(self, recognised=recognised, word_error_rate=word_error_rate)


@dataclass(frozen=True, slots=True)
class Interruption:
    """What the room did when the person spoke into an answer."""

    level_before_dbfs: float
    """Of the quarter of a second before the onset."""
    left_s: float
    """How much of the answer was still to come, from the words not heard and the voice's pace."""
    silent_after_s: float
    """From the onset of the person's speech to the last audible moment of the old answer."""


@dataclass(slots=True)
class Report:
    """A whole conversation, or what there was of it."""

    answers: list[Answer] = field(default_factory=list)
    interruption: Interruption | None = None
    errors: list[str] = field(default_factory=list)
    """Error events, one sentence each."""
    stopped: str = ""
    """Why the conversation did not go on to its end."""
    model_requests: int | None = None
    """Chat requests that the model server counted; None: it is not ours to ask."""
