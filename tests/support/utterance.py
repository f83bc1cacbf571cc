"""One utterance on its way through a microphone, frame by frame, with its times."""

import asyncio
from dataclasses import dataclass

import numpy as np

from tests.support.recording import Samples, voiced


@dataclass(frozen=True, slots=True)
class Spoken:
    """When the first voiced sample of an utterance went out and the last one had (monotonic)."""

    start: float
    end: float


class Utterance:
    """Mono s16 samples, given out once in frames of `frame` samples, the last one padded.

    ValueError if it is silent. `done` gets the times when the last frame is out.
    """

    def __init__(self, samples: Samples, rate_hz: int, frame: int) -> None:
        self.done: asyncio.Future[Spoken] = asyncio.get_running_loop().create_future()
        self._samples, self._rate_hz, self._frame = samples, rate_hz, frame
        self._first, self._last = voiced(samples, rate_hz)
        self._position = 0
        self._start = self._end = 0.0

    def frame(self) -> Samples:
        """The next frame; the same until `sent`."""
        part = self._samples[self._position : self._position + self._frame]
        return np.pad(part, (0, self._frame - len(part)))

    def sent(self, out_at: float) -> bool:
        """The next frame leaves at `out_at`. True when it was the last one."""
        begin, end = self._position, self._position + self._frame
        if begin <= self._first < end:
            self._start = out_at + (self._first - begin) / self._rate_hz
        if begin < self._last <= end:
            self._end = out_at + (self._last - begin) / self._rate_hz
        self._position = end
        if end < len(self._samples):
            return False
        if not self.done.done():
            self.done.set_result(Spoken(self._start, self._end))
        return True
