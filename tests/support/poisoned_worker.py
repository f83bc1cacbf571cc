"""A program: a model worker whose engine fails at certain items, and only at these, every time.

python -m tests.support.poisoned_worker asr|llm|tts; the rest is the worker's own environment, with
the scripted engines. asr: speech longer than POISON_S; llm, tts: texts with POISON in them.
"""

import importlib
import sys
from collections.abc import AsyncGenerator

from visavis_asr.engine import Transcription
from visavis_asr.fake import FakeTranscriber
from visavis_llm.engine import Delta, Prompt
from visavis_llm.fake import FakeChatModel
from visavis_tts.engine import Samples
from visavis_tts.fake import FakeSynthesizer

POISON = "poison"
POISON_S = 3.0
_BYTES_PER_S = 32_000


class PoisonedTranscriber(FakeTranscriber):
    """Breaks at long utterances."""

    async def transcribe(self, pcm: bytes, language: str, *, draft: bool = False) -> Transcription:
        if len(pcm) > POISON_S * _BYTES_PER_S:
            raise ArithmeticError("scripted")
        return await super().transcribe(pcm, language, draft=draft)


class PoisonedChatModel(FakeChatModel):
    """Breaks at a word of the person's last message."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        if POISON in prompt.messages[-1][1]:
            raise ArithmeticError("scripted")
        async for delta in super().stream(prompt):
            yield delta


class PoisonedSynthesizer(FakeSynthesizer):
    """Breaks at a word of the sentence."""

    async def speak(self, text: str, voice: str) -> AsyncGenerator[Samples, None]:
        if POISON in text:
            raise ArithmeticError("scripted")
        async for samples in super().speak(text, voice):
            yield samples


ENGINES = {
    "asr": ("FakeTranscriber", PoisonedTranscriber),
    "llm": ("FakeChatModel", PoisonedChatModel),
    "tts": ("FakeSynthesizer", PoisonedSynthesizer),
}


def main(stage: str) -> None:
    """The worker as it is, but for its engine."""
    program = importlib.import_module(f"visavis_{stage}.__main__")
    name, engine = ENGINES[stage]
    setattr(program, name, engine)
    program.main()


if __name__ == "__main__":
    main(sys.argv[1])
