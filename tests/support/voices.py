"""What a person says in the tests, as WAV files in another voice than the avatar's."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from visavis_local.caller_voice import CallerVoice


@cache
def _voice() -> CallerVoice:
    return CallerVoice()


def speak(text: str) -> Path:
    """A 22.05 kHz mono s16 WAV of `text`, made once and kept outside the checkout."""
    return _voice().speak([text])[0]


def speak_all(texts: Sequence[str]) -> list[Path]:
    """The same for many texts with one start of the program, in order."""
    return _voice().speak(texts)
