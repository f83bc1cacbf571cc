"""Texts spoken by hibari and by Kokoro's voices: 16 kHz, trimmed, each made once and kept."""

import hashlib
from pathlib import Path

import numpy as np
import soxr
from hibari import SAMPLE_RATE, Hibari
from numpy.typing import NDArray

from tests.eval.turns import kokoro
from visavis_local.places import CACHE
from visavis_tts.hibari_voice import WEIGHTS_SHA256, weights

HIBARI = "hibari"
VOICES = {
    "tuning": (HIBARI, "am_adam", "bf_emma", "af_bella", "am_puck"),
    "held_out": ("am_michael", "bm_george", "af_nova", "bf_isabella"),
}
RATE_HZ = 16_000
LEVEL = 10 ** (-23 / 20)
"""Root mean square of the voiced part: -23 dBFS, a good headset."""
_FRAME = RATE_HZ // 50
_QUIET = 10 ** (-40 / 20)
"""Relative to the loudest 20 ms: softer than this at either end is no speech."""
_FORM = "2"  # of what is kept; raise it when the sound is treated otherwise

Samples = NDArray[np.float32]


class Voices:
    """Speaks; a model is loaded when something is to be said that is not there yet."""

    def __init__(self) -> None:
        self._hibari: Hibari | None = None
        self._kokoro: kokoro.Kokoro | None = None

    def speak(self, text: str, voice: str) -> Samples:
        """16 kHz mono from the first to the last sound of speech."""
        path = _path(text, voice)
        if not path.exists():
            made = path.with_suffix(f".{id(self)}.npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(made, self._treated(self._say(text, voice)))
            made.replace(path)
        return np.asarray(np.load(path), np.float32)

    def _say(self, text: str, voice: str) -> Samples:
        if self._hibari is None:
            self._hibari = Hibari(model=str(weights()))
        if voice == HIBARI:
            return np.concatenate(list(self._hibari.stream(text, seed=0)))
        if self._kokoro is None:
            self._kokoro = kokoro.Kokoro()
        ids = [self._hibari.ids(phonemes) for phonemes in self._hibari.phonemize(text)]
        return np.concatenate([self._kokoro.speak(one, voice) for one in ids])

    @staticmethod
    def _treated(sound: Samples) -> Samples:
        sound = np.asarray(soxr.resample(sound, SAMPLE_RATE, RATE_HZ), np.float32)
        levels = frame_levels(sound)
        loud = np.flatnonzero(levels > _QUIET * levels.max())
        sound = sound[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME]
        return np.asarray(sound * (LEVEL / speech_level(sound)), np.float32)


def frame_levels(sound: Samples) -> Samples:
    """Root mean square of each 20 ms."""
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)), np.float32)


def speech_level(sound: Samples) -> float:
    """Root mean square of the frames within 25 dB of the loudest: pauses do not count."""
    levels = frame_levels(sound)
    active = levels[levels > levels.max() * 10 ** (-25 / 20)]
    return float(np.sqrt(np.mean(active**2)))


def _path(text: str, voice: str) -> Path:
    model = WEIGHTS_SHA256 if voice == HIBARI else kokoro.digest()
    key = hashlib.sha256("\0".join([text, voice, model, _FORM]).encode()).hexdigest()
    return CACHE / "eval" / "spoken" / f"{key[:24]}.npy"
