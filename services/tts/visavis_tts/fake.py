"""A scripted engine: a tone of exact length and pitch, for tests and benchmarks."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

import numpy as np

from visavis_tts.engine import Samples

SECONDS_PER_CHARACTER = 0.06
_TONE_HZ = 220.0


class FakeSynthesizer:
    """60 ms of a 220 Hz tone for each character of the text, in one piece."""

    languages = frozenset({"en"})

    def __init__(
        self, voices: Iterable[str] = ("heart",), *, delay_s: float = 0.0, rate_hz: int = 24_000
    ) -> None:
        self.voices, self.rate_hz, self._delay_s = frozenset(voices), rate_hz, delay_s

    async def warm(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Always."""

    async def speak(self, text: str, voice: str) -> AsyncGenerator[Samples, None]:
        """See the port."""
        await asyncio.sleep(self._delay_s)
        count = round(len(text) * SECONDS_PER_CHARACTER * self.rate_hz)
        phase = 2 * np.pi * _TONE_HZ / self.rate_hz * np.arange(count)
        yield (0.3 * np.sin(phase)).astype(np.float32)

    def close(self) -> None:
        """Nothing to release."""
