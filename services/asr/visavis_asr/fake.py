"""A scripted engine with an exact delay, for tests and benchmarks."""

import asyncio
from collections.abc import Iterable

from visavis_asr.engine import Transcription


class FakeTranscriber:
    """Understands the given transcriptions in order, the last one again and again."""

    def __init__(self, script: Iterable[Transcription], *, delay_s: float = 0.0) -> None:
        self._script = list(script)
        self._delay_s = delay_s

    async def warm(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Always."""

    async def transcribe(self, pcm: bytes, language: str, *, draft: bool = False) -> Transcription:
        """See the port. A draft has the words that come next."""
        await asyncio.sleep(self._delay_s)
        found = self._script[0]
        if not draft and len(self._script) > 1:
            self._script.pop(0)
        return found

    def close(self) -> None:
        """Nothing to release."""
