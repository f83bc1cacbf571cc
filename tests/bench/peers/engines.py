"""The models that the peers' programs speak with: the code of our own workers, in their process.

Read by programs in environments of their own, so nothing of those frameworks is here. Everything
comes from the environment: see `Setup`.
"""

import json
import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import numpy as np

from visavis_asr.engine import Transcriber, Transcription
from visavis_asr.fake import FakeTranscriber
from visavis_llm.engine import Prompt
from visavis_llm.fake import FakeChatModel
from visavis_tts.engine import Synthesizer
from visavis_tts.fake import FakeSynthesizer
from visavis_tts.sound import to_pcm, trim

ASR_RATE_HZ = 16_000
SPEECH_RATE_HZ = 24_000
VOICE = "heart"


@dataclass(frozen=True)
class Setup:
    """What a program is told. `instant`: scripted models that take no time."""

    instant: bool
    instructions: str
    max_tokens: int
    transcript: str
    answer: str
    llm_url: str
    llm_model: str
    window_s: float
    events: str
    """The file that gets one line of JSON for each decision."""

    @classmethod
    def read(cls) -> "Setup":
        """From the variables BENCH_*."""
        told = os.environ
        return cls(
            instant=told["BENCH_MODELS"] == "instant",
            instructions=told["BENCH_INSTRUCTIONS"],
            max_tokens=int(told["BENCH_MAX_TOKENS"]),
            transcript=told["BENCH_TRANSCRIPT"],
            answer=told["BENCH_ANSWER"],
            llm_url=told["BENCH_LLM_URL"],
            llm_model=told["BENCH_LLM_MODEL"],
            window_s=float(told["BENCH_WINDOW_S"]),
            events=told["BENCH_EVENTS"],
        )

    def environ(self) -> dict[str, str]:
        """The same as variables."""
        return {
            "BENCH_MODELS": "instant" if self.instant else "embedded",
            "BENCH_INSTRUCTIONS": self.instructions,
            "BENCH_MAX_TOKENS": str(self.max_tokens),
            "BENCH_TRANSCRIPT": self.transcript,
            "BENCH_ANSWER": self.answer,
            "BENCH_LLM_URL": self.llm_url,
            "BENCH_LLM_MODEL": self.llm_model,
            "BENCH_WINDOW_S": str(self.window_s),
            "BENCH_EVENTS": self.events,
        }

    def note(self, event: str, room: str) -> None:
        """One line, with the monotonic time, which is one clock for all processes."""
        line = json.dumps({"event": event, "at": time.monotonic(), "room": room})
        with open(self.events, "a") as file:
            file.write(line + "\n")

    def transcriber(self) -> Transcriber:
        """Not warm yet."""
        if self.instant:
            return FakeTranscriber([Transcription(self.transcript, 0.0)])
        # The scripted run's memory must not hold the libraries of the real one.
        from visavis_asr.whisper import WhisperTranscriber

        return WhisperTranscriber(threads=1, window_s=self.window_s)

    def synthesizer(self) -> Synthesizer:
        """Not warm yet."""
        if self.instant:
            return FakeSynthesizer()
        from visavis_tts.hibari_voice import HibariSynthesizer

        return HibariSynthesizer(threads=1)

    async def canned(self) -> AsyncGenerator[str, None]:
        """What the language model of the scripted run says, word by word, at once."""
        prompt = Prompt(messages=(), prefix="", temperature=0.0, max_output_tokens=0)
        async for delta in FakeChatModel(self.answer).stream(prompt):
            yield delta.text


async def speech(synthesizer: Synthesizer, text: str) -> bytes:
    """A sentence as 24 kHz s16le, its silence cut off as our worker does."""
    pieces = [piece async for piece in synthesizer.speak(text, VOICE)]
    return to_pcm(trim(np.concatenate(pieces), SPEECH_RATE_HZ)) if pieces else b""
