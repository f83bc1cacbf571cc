"""Two noises made by us: babble of our own voices, and a street of shaped noise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.eval.turns.voices import LEVEL, RATE_HZ, speech_level

SECONDS = 40
BABBLERS = 6
FLOOR = 10 ** (-70 / 20)
"""Of every clip, noisy or not: a microphone is never digitally silent."""

Samples = NDArray[np.float32]


def babble(spoken: Sequence[Samples], seed: int) -> Samples:
    """Six streams of `spoken`, one over the other, without pauses; at the level of speech."""
    rng = np.random.default_rng(seed)
    length = SECONDS * RATE_HZ
    sound = np.zeros(length, np.float32)
    for _ in range(BABBLERS):
        at = -int(rng.integers(RATE_HZ))
        while at < length:
            piece = spoken[int(rng.integers(len(spoken)))]
            start, end = max(at, 0), min(at + len(piece), length)
            sound[start:end] += piece[start - at : end - at]
            at += len(piece) + int(rng.integers(RATE_HZ // 4))
    return np.asarray(sound * (LEVEL / speech_level(sound)), np.float32)


def street(seed: int) -> Samples:
    """Brown noise as of distant traffic, over it cars that come and go; at the level of speech."""
    rng = np.random.default_rng(seed)
    length = SECONDS * RATE_HZ
    distant = _shaped(rng, length, slope=-1.0, low_hz=40, high_hz=2_000)
    sound = 0.5 * distant
    seconds = np.arange(length) / RATE_HZ
    for _ in range(8):
        passing = _shaped(rng, length, slope=-0.5, low_hz=80, high_hz=float(rng.uniform(2e3, 5e3)))
        middle, width = rng.uniform(0, SECONDS), rng.uniform(0.7, 2.0)
        swell = np.exp(-0.5 * ((seconds - middle) / width) ** 2)
        sound += np.float32(rng.uniform(0.5, 1.5)) * passing * swell.astype(np.float32)
    return np.asarray(sound * (LEVEL / np.sqrt(np.mean(sound**2))), np.float32)


def floor(length: int, seed: int) -> Samples:
    """White noise at -70 dBFS."""
    return np.random.default_rng(seed).normal(0, FLOOR, length).astype(np.float32)


def _shaped(
    rng: np.random.Generator, length: int, *, slope: float, low_hz: float, high_hz: float
) -> Samples:
    """Noise whose amplitude goes with frequency ** slope in the band; root mean square 1."""
    spectrum = np.fft.rfft(rng.normal(size=length))
    hz = np.fft.rfftfreq(length, 1 / RATE_HZ)
    inside = (hz >= low_hz) & (hz <= high_hz)
    spectrum = np.where(inside, spectrum * np.maximum(hz, low_hz) ** slope, 0)
    sound = np.fft.irfft(spectrum, length)
    return np.asarray(sound / np.sqrt(np.mean(sound**2)), np.float32)
