"""Mouth opening from loudness, 25 values a second, and the packet that carries them."""

import json
from dataclasses import dataclass
from itertools import count

import numpy as np

TOPIC = "vv.motion.sim"
MOTION_MS = 40
# Loudness that just opens the mouth, and loudness that opens it fully, in dBFS.
_SILENT_DB = -45.0
_LOUD_DB = -12.0
# A jaw opens faster than it closes; share of the way to the target per 40 ms.
_ATTACK = 0.7
_RELEASE = 0.4


@dataclass(frozen=True, slots=True)
class Motion:
    """One pose: `position_ms` in the request's audio, `jaw_open` and `mouth_wide` 0..1."""

    seq: int
    request: int
    position_ms: int
    jaw_open: float
    mouth_wide: float


def loudness_db(pcm: bytes) -> float:
    """RMS of mono s16le in dBFS; −120 for silence or no samples."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768.0
    if not samples.size:
        return -120.0
    rms = float(np.sqrt(np.mean(samples * samples)))
    return 20.0 * float(np.log10(max(rms, 1e-6)))


def opening(level_db: float) -> float:
    """Target jaw opening 0..1 for a loudness."""
    share = (level_db - _SILENT_DB) / (_LOUD_DB - _SILENT_DB)
    return min(1.0, max(0.0, share))


class Mouth:
    """Turns played frames into poses. `seq` never restarts, so a page can drop late ones."""

    def __init__(self) -> None:
        self._seq = count()
        self._request = 0
        self._pending = bytearray()
        self._pending_ms = 0
        self._begin_ms = 0
        self._open = 0.0

    def feed(self, pcm: bytes, duration_ms: int, position_ms: int) -> Motion | None:
        """Add a played frame; a pose is due each 40 ms. Position 0 begins a new request."""
        if position_ms == 0:
            self._request += 1
            self._reset()
        if not self._pending_ms:
            self._begin_ms = position_ms
        self._pending += pcm
        self._pending_ms += duration_ms
        if self._pending_ms < MOTION_MS:
            return None
        pose = self._pose(opening(loudness_db(bytes(self._pending))))
        self._reset()
        return pose

    def rest(self, position_ms: int) -> Motion:
        """The closed mouth after a request has ended or was interrupted."""
        self._reset()
        self._open = 0.0
        return Motion(next(self._seq), self._request, position_ms, 0.0, 0.0)

    def _pose(self, target: float) -> Motion:
        share = _ATTACK if target > self._open else _RELEASE
        self._open += (target - self._open) * share
        # Loud vowels are round, soft ones wide: enough to look alive, no phonetics in it.
        wide = 0.5 * self._open * (1.0 - self._open) * 2.0
        return Motion(next(self._seq), self._request, self._begin_ms, self._open, wide)

    def _reset(self) -> None:
        self._pending.clear()
        self._pending_ms = 0


def encode(motion: Motion) -> bytes:
    """UTF-8 JSON `{"v":1,"seq","req","pos_ms","w":{"jawOpen","mouthWide"}}`, < 120 bytes."""
    weights = {"jawOpen": round(motion.jaw_open, 3), "mouthWide": round(motion.mouth_wide, 3)}
    body = {
        "v": 1,
        "seq": motion.seq,
        "req": motion.request,
        "pos_ms": motion.position_ms,
        "w": weights,
    }
    return json.dumps(body, separators=(",", ":")).encode()
