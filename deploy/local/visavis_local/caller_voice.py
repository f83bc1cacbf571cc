"""The voice of the person who calls: piper, run as a program in an environment of its own.

Piper is GPL: nothing here imports it, no service depends on it, no image holds it.
"""

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from visavis_local.environments import checked, environment, replace
from visavis_local.places import CACHE

VOICE = "en_US-joe-medium"
VOICE_SHA256 = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"


class CallerVoice:
    """Text to WAV files (22.05 kHz, mono, s16), each made once and kept in the cache folder."""

    def __init__(self) -> None:
        self._programs = environment("caller_voice")
        (model,) = self._programs.glob(f"lib/python*/site-packages/*/data/{VOICE}.onnx")
        self._model = checked(model, VOICE_SHA256)
        self._folder = CACHE / "voices" / VOICE

    def speak(self, texts: Sequence[str]) -> list[Path]:
        """One file for each text, in order; one program start for all that are missing."""
        one_line = [" ".join(text.split()) for text in texts]
        paths = [self._path(text) for text in one_line]
        missing = {p: text for p, text in zip(paths, one_line, strict=True) if not p.exists()}
        if missing:
            self._synthesise(missing)
        return paths

    def _path(self, text: str) -> Path:
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.wav"

    def _synthesise(self, texts: dict[Path, str]) -> None:
        """Have piper read one line per file; it names its files by time, so their order is ours."""
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            lines = Path(scratch) / "lines.txt"
            lines.write_text("".join(f"{text}\n" for text in texts.values()))
            command = [
                str(self._programs / "bin" / "piper"),
                *("--model", str(self._model), "--input-file", str(lines), "--output-dir", scratch),
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            spoken = sorted(Path(scratch).glob("*.wav"), key=lambda path: int(path.stem))
            if done.returncode or len(spoken) != len(texts):
                raise RuntimeError(
                    f"piper made {len(spoken)} of {len(texts)} files:\n{done.stderr[-2000:]}"
                )
            for made, final in zip(spoken, texts, strict=True):
                replace(made, final)
