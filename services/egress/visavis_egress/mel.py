"""Log-mel features as Whisper takes them: 80 bands of a spectrum of 400 samples every 160.

As published: mel scale and area-normalised triangles of Slaney's Auditory Toolbox, spectrum centred
and reflected at both ends, eight decades below the loudest band cut off.
"""

import numpy as np
from numpy.typing import NDArray

from visavis_runtime.subjects import ASR_RATE_HZ

BANDS, _WINDOW, _HOP = 80, 400, 160
_LINEAR_HZ = 200 / 3
_KNEE_HZ, _KNEE_MEL, _STEP = 1000.0, 15.0, np.log(6.4) / 27


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (80, samples / 160) of float samples at 16 kHz."""
    padded = np.pad(samples, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:-1]
    power = np.abs(np.fft.rfft(frames * _HANN)) ** 2
    # Not by @: BLAS would take a second thread and, measured, five times as long for it.
    bands = np.log10(np.maximum(np.einsum("bk,fk->bf", _FILTERS, power), 1e-10))
    scaled: NDArray[np.float32] = ((np.maximum(bands, bands.max() - 8) + 4) / 4).astype(np.float32)
    return scaled


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear up to 1 kHz, then 27 steps for each factor of 6.4."""
    above = _KNEE_HZ * np.exp(_STEP * (mels - _KNEE_MEL))
    return np.where(mels < _KNEE_MEL, mels * _LINEAR_HZ, above)


def _filters() -> NDArray[np.float64]:
    """(80, 201): a triangle between the neighbours of each centre, of the same area each."""
    top = _KNEE_MEL + np.log(ASR_RATE_HZ / 2 / _KNEE_HZ) / _STEP
    edges = _hertz(np.linspace(0, top, BANDS + 2))
    bins = np.linspace(0, ASR_RATE_HZ / 2, _WINDOW // 2 + 1)
    left, centre, right = (part[:, None] for part in (edges[:-2], edges[1:-1], edges[2:]))
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)


_FILTERS = _filters()
_HANN = np.hanning(_WINDOW + 1)[:-1]  # periodic
