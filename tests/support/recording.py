"""What somebody heard: sound by track, placed on the monotonic clock, and questions to it."""

import io
import math
import wave
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE_HZ = 24_000
AUDIBLE_DBFS = -45.0
SILENCE_DBFS = -120.0
_JOIN_S = 0.06
_WINDOW_S = 0.01


def level_dbfs(samples: Samples) -> float:
    """Root mean square of s16 samples, full scale = 0; at least -120."""
    if not len(samples):
        return SILENCE_DBFS
    power = float(np.mean(np.square(samples.astype(np.float64) / 32768)))
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power else SILENCE_DBFS


def voiced(samples: Samples, rate_hz: int, threshold_dbfs: float = AUDIBLE_DBFS) -> tuple[int, int]:
    """First sample and end of what is louder than the threshold; ValueError if nothing is.

    Looks in windows of 10 ms, so both are exact to 10 ms.
    """
    size = int(rate_hz * _WINDOW_S)
    loud = [
        start
        for start in range(0, len(samples), size)
        if level_dbfs(samples[start : start + size]) > threshold_dbfs
    ]
    if not loud:
        raise ValueError(f"nothing in it is louder than {threshold_dbfs} dBFS")
    return loud[0], min(loud[-1] + size, len(samples))


def audible_s(samples: Samples, rate_hz: int, threshold_dbfs: float = AUDIBLE_DBFS) -> float:
    """How much of it is louder than the threshold, in seconds, without the pauses."""
    size = int(rate_hz * _WINDOW_S)
    starts = range(0, len(samples), size)
    loud = sum(level_dbfs(samples[at : at + size]) > threshold_dbfs for at in starts)
    return loud * _WINDOW_S


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of one track. `heard`: when its first sample was there at the earliest, from its
    arrival; `placed`: the same, without the jitter of the arrival. Monotonic seconds."""

    heard: float
    placed: float
    samples: Samples
    level_dbfs: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE_HZ


@dataclass
class Recording:
    """Frames of all tracks: mono s16 at 24 kHz. All times are of time.monotonic()."""

    tracks: dict[str, list[Frame]] = field(default_factory=dict)

    def add(self, track: str, pcm: bytes, arrived: float) -> None:
        """Keep a frame of mono s16le that has just arrived."""
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.int16)
        heard = arrived - len(samples) / RATE_HZ
        frames = self.tracks.setdefault(track, [])
        placed = heard
        if frames:
            end = frames[-1].placed + frames[-1].seconds
            # A late frame after a late one is jitter; a real gap is longer.
            placed = end if heard - end < _JOIN_S else heard
        frames.append(Frame(heard, placed, samples, level_dbfs(samples)))

    def first_audible_after(self, t: float, threshold_dbfs: float = AUDIBLE_DBFS) -> float | None:
        """When the first audible frame at or after `t` began; None if there is none so far."""
        return min((start for start, _ in self._audible(t, threshold_dbfs)), default=None)

    def last_audible_before(self, t: float, threshold_dbfs: float = AUDIBLE_DBFS) -> float | None:
        """When the last audible frame that began before `t` ended; None if there is none."""
        ends = (end for start, end in self._audible(-math.inf, threshold_dbfs) if start < t)
        return max(ends, default=None)

    def silent_from(
        self, t: float, threshold_dbfs: float = AUDIBLE_DBFS, for_s: float = 0.3
    ) -> float | None:
        """The first moment at or after `t` that is followed by `for_s` of silence.

        None if the recording does not reach that far. Without any track there is nothing to hear.
        """
        quiet = t
        for start, end in sorted(self._audible(t, threshold_dbfs)):
            if start - quiet >= for_s:
                break
            quiet = max(quiet, end)
        return quiet if not self.tracks or quiet + for_s <= self.end else None

    def gaps(
        self, t0: float, t1: float, *, longer_than_s: float, threshold_dbfs: float = AUDIBLE_DBFS
    ) -> list[float]:
        """Seconds of every silence between two audible moments, exact to 10 ms."""
        size = round(RATE_HZ * _WINDOW_S)
        samples = self.samples(t0, t1)
        starts = range(0, len(samples), size)
        loud = [at for at in starts if level_dbfs(samples[at : at + size]) > threshold_dbfs]
        holes = (after - before - size for before, after in pairwise(loud))
        return [hole / RATE_HZ for hole in holes if hole > longer_than_s * RATE_HZ]

    def level(self, t0: float, t1: float) -> float:
        """Level in dBFS of all tracks together between two moments."""
        return level_dbfs(self.samples(t0, t1))

    def samples(self, t0: float, t1: float) -> Samples:
        """All tracks together between two moments; silence where there is nothing."""
        mixed = np.zeros(max(0, round((t1 - t0) * RATE_HZ)), dtype=np.int32)
        for frame in (frame for frames in self.tracks.values() for frame in frames):
            start = round((frame.placed - t0) * RATE_HZ)
            first, last = max(start, 0), min(start + len(frame.samples), len(mixed))
            if first < last:
                mixed[first:last] += frame.samples[first - start : last - start]
        return np.clip(mixed, -32768, 32767).astype(np.int16)

    def wav(self, t0: float, t1: float) -> bytes:
        """The same as a WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(RATE_HZ)
            writer.writeframes(self.samples(t0, t1).astype("<i2").tobytes())
        return file.getvalue()

    @property
    def end(self) -> float:
        """How far the recording reaches; minus infinity while it is empty."""
        ends = (f[-1].placed + f[-1].seconds for f in self.tracks.values() if f)
        return max(ends, default=-math.inf)

    def _audible(self, t: float, threshold_dbfs: float) -> list[tuple[float, float]]:
        """Begin and end of every audible frame that ends after `t`, cut off at `t`."""
        return [
            (max(frame.heard, t), frame.heard + frame.seconds)
            for frames in self.tracks.values()
            for frame in frames
            if frame.heard + frame.seconds > t and frame.level_dbfs > threshold_dbfs
        ]
