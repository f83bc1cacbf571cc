"""Pure work on samples: silence off both ends, another rate, 16 bits, pieces of 100 ms."""

import numpy as np
import soxr

from visavis_runtime.subjects import BYTES_PER_SAMPLE, SPEECH_RATE_HZ
from visavis_tts.engine import Samples

LEAD_S = 0.02
"""Silence that stays before the first sound, so that no onset is cut."""
TAIL_S = 0.2
"""Silence that stays after the last one: the pause between two sentences."""
CHUNK_S = 0.1
_FRAME_S = 0.01
_SILENCE_DBFS = -50.0
_FULL_SCALE = 32767.0


def trim(samples: Samples, rate_hz: int) -> Samples:
    """Without the silence beyond 20 ms before and 200 ms after the sound; empty if there is none.

    Silence is a level below -50 dBFS in frames of 10 ms.
    """
    frame = int(_FRAME_S * rate_hz)
    padded = np.pad(samples, (0, -len(samples) % frame))
    power = np.square(padded.reshape(-1, frame), dtype=np.float64).mean(axis=1)
    (loud,) = np.nonzero(power > 10 ** (_SILENCE_DBFS / 10))
    if not len(loud):
        return samples[:0]
    start = int(loud[0]) * frame - int(LEAD_S * rate_hz)
    end = (int(loud[-1]) + 1) * frame + int(TAIL_S * rate_hz)
    return samples[max(0, start) : end]


def resample(samples: Samples, rate_hz: int) -> Samples:
    """The same sound at 24 kHz."""
    if rate_hz == SPEECH_RATE_HZ:
        return samples
    out: Samples = soxr.resample(samples, rate_hz, SPEECH_RATE_HZ).astype(np.float32)
    return out


def to_pcm(samples: Samples) -> bytes:
    """s16le. What is louder than full scale is turned down as a whole, not clipped."""
    peak = float(np.abs(samples).max(initial=0.0))
    return np.round(samples * (_FULL_SCALE / max(1.0, peak))).astype("<i2").tobytes()


class Chunker:
    """Cuts pieces of PCM of any length into chunks of 100 ms; the last one may be shorter."""

    def __init__(self) -> None:
        self._size = int(CHUNK_S * SPEECH_RATE_HZ) * BYTES_PER_SAMPLE
        self._rest = b""

    def feed(self, pcm: bytes) -> list[bytes]:
        """The chunks that are full now."""
        pcm = self._rest + pcm
        whole = len(pcm) // self._size * self._size
        self._rest = pcm[whole:]
        return [pcm[at : at + self._size] for at in range(0, whole, self._size)]

    def flush(self) -> list[bytes]:
        """What is left."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []
