"""A scripted engine with an exact delay, for tests and benchmarks."""

import asyncio
from collections.abc import Iterable
from itertools import chain, repeat

from visavis_asr.engine import Transcription


class FakeTranscriber:
    """Understands the given transcriptions in order, the last one again and again."""

    def __init__(self, script: Iterable[Transcription], *, delay_s: float = 0.0) -> None:
        listed = list(script)
        self._script = chain(listed, repeat(listed[-1]))
        self._delay_s = delay_s

    async def warm(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Always."""

    async def transcribe(self, pcm: bytes, language: str) -> Transcription:
        """See the port."""
        await asyncio.sleep(self._delay_s)
        return next(self._script)

    def close(self) -> None:
        """Nothing to release."""
