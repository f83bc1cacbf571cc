"""The voice-activity port."""

from typing import Protocol

WINDOW_BYTES = 1024
"""512 samples, 32 ms at 16 kHz."""


class VoiceDetector(Protocol):
    """Keeps the state of one microphone."""

    def probability(self, window: bytes) -> float:
        """Probability of speech in 32 ms of mono s16le at 16 kHz; about 0.2 ms of computing."""


class VoiceDetection(Protocol):
    """The model, shared by all sessions of the process."""

    def detector(self) -> VoiceDetector:
        """A detector for one microphone."""
