"""The port of the synthesis engines."""

from collections.abc import AsyncGenerator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visavis_runtime.errors import VisavisError

Samples = NDArray[np.float32]
"""Mono samples, full scale 1.0, shape (n,)."""


class NotWarmError(VisavisError):
    """The model is not loaded yet."""


class Synthesizer(Protocol):
    """Turns a sentence into sound; holds the model and nothing about callers."""

    rate_hz: int
    voices: frozenset[str]
    languages: frozenset[str]
    """Primary subtags, for example `en`."""

    async def warm(self) -> None:
        """Load the model and use it once. Raises what loading raises: the process should end."""

    async def ready(self) -> None:
        """Return when warm; raises NotWarmError."""

    def speak(self, text: str, voice: str) -> AsyncGenerator[Samples, None]:
        """Pieces of the sound, each as soon as it exists. `text` is not blank, `voice` is known.

        The same text gives the same samples every time: two attempts at a sentence are joined by
        sample offset. Never blocks the event loop.
        """

    def close(self) -> None:
        """Release the engine; work in progress is abandoned."""
