"""The port of the recognition engines."""

from dataclasses import dataclass
from typing import Protocol

from visavis_runtime.errors import VisavisError


class NotWarmError(VisavisError):
    """The model is not loaded yet."""


@dataclass(frozen=True, slots=True)
class Transcription:
    """What was understood, and the engine's probability (0 to 1) that nobody spoke.

    `confidence`: how sure the engine is of the words, 0 to 1; 0: it does not tell.
    """

    text: str
    no_speech_probability: float
    confidence: float = 0.0


class Transcriber(Protocol):
    """Turns one utterance into text; holds the model and nothing about callers."""

    async def warm(self) -> None:
        """Load the model and use it once. Raises what loading raises: the process should end."""

    async def ready(self) -> None:
        """Return when warm; raises NotWarmError."""

    async def transcribe(self, pcm: bytes, language: str, *, draft: bool = False) -> Transcription:
        """`pcm`: mono s16le at 16 kHz, 0 < length <= 28 s. `language`: BCP 47, empty: detect.

        `draft`: beside what else runs, which does not wait for it; empty where it went wrong.
        Never blocks the event loop. Raises Poison for a language that the model does not know.
        """

    def close(self) -> None:
        """Release the engine; work in progress is abandoned."""
