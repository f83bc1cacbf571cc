"""What a person says into the browser: one WAV with pauses in which the avatar answers."""

import hashlib
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.support.voices import speak_all


def spoken(folder: Path, lines: Sequence[tuple[float, str]]) -> Path:
    """Each line begins at its second after the microphone has opened; mono s16 at 22.05 kHz."""
    files = speak_all([text for _, text in lines])
    rate_hz = 22_050
    track = np.zeros(0, dtype=np.int16)
    for (begin_s, text), path in zip(lines, files, strict=True):
        with wave.open(str(path)) as file:
            assert file.getframerate() == rate_hz
            words = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        pause = int(begin_s * rate_hz) - len(track)
        assert pause >= 0, f"the line before is still being said: {text}"
        track = np.concatenate([track, np.zeros(pause, dtype=np.int16), words])
    track = np.concatenate([track, np.zeros(rate_hz, dtype=np.int16)])
    made = folder / f"{hashlib.sha256(track.tobytes()).hexdigest()[:12]}.wav"
    with wave.open(str(made), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(track.tobytes())
    return made
