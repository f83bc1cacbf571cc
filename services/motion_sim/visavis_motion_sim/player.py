"""Plays a connection's requests on its stage, in real time, and tells what was heard."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from visavis_motion_sim.mouth import Motion, Mouth
from visavis_motion_sim.playback import FRAME_MS, End, Fed, Frame, PlaybackQueue, Stop
from visavis_motion_sim.stage import Stage


class Audience(Protocol):
    """Who hears about the playback. The calls must not block."""

    def started(self, req_id: str) -> None:
        """The first frame of a request is being played."""

    def finished(self, req_id: str, position_ms: float, interrupted: bool) -> None:
        """A request was heard up to `position_ms` of its own audio."""

    def moved(self, motion: Motion) -> None:
        """A pose that belongs to audio played within the stage's queue (<= 100 ms)."""


class Player:
    """One per connection; `feed` and `interrupt` from the reader, `run` in a task of its own."""

    def __init__(
        self,
        stage: Stage,
        audience: Audience,
        *,
        sample_rate_hz: int,
        first_audio_delay_s: Callable[[], float],
    ) -> None:
        self._stage = stage
        self._audience = audience
        self._first_audio_delay_s = first_audio_delay_s
        self._wake = asyncio.Event()
        self._mouth = Mouth()
        self._held = ""
        self._hold_until = 0.0
        self.queue = PlaybackQueue(sample_rate_hz)

    def feed(self, req_id: str, pcm: bytes, end: bool) -> Fed:
        """Append audio to a request."""
        fed = self.queue.feed(req_id, pcm, end)
        self._wake.set()
        return fed

    def interrupt(self, req_id: str) -> bool:
        """Stop within one frame. False if there was nothing left to stop."""
        known = self.queue.interrupt(req_id)
        self._wake.set()
        return known

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            if (hold_s := self._hold_s()) > 0:
                await self._sleep(hold_s)
                continue
            match self.queue.next():
                case Frame() as frame:
                    await self._play(frame)
                case End() as end:
                    await self._end(end)
                case Stop() as stop:
                    self._stop(stop)
                case None:
                    await self._wake.wait()

    def _hold_s(self) -> float:
        """What is left of the artificial delay before a request's first frame."""
        req_id = self.queue.starting()
        if req_id is None:
            return 0.0
        if req_id != self._held:
            self._held = req_id
            self._hold_until = time.monotonic() + self._first_audio_delay_s()
        return self._hold_until - time.monotonic()

    async def _sleep(self, seconds: float) -> None:
        """Until something was fed or interrupted, at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _play(self, frame: Frame) -> None:
        if frame.position_ms == 0:
            self._audience.started(frame.req_id)
        await self._stage.play(frame.pcm)
        motion = self._mouth.feed(frame.pcm, FRAME_MS, frame.position_ms)
        if motion is not None:
            self._audience.moved(motion)

    async def _end(self, end: End) -> None:
        """Complete the request when it has been heard; an interrupt meanwhile still counts."""
        queued_ms = self._stage.queued_ms()
        if queued_ms > 0:
            await self._sleep(queued_ms / 1000)
            return
        self.queue.complete()
        self._audience.moved(self._mouth.rest(end.sent_ms))
        self._audience.finished(end.req_id, float(end.sent_ms), False)

    def _stop(self, stop: Stop) -> None:
        """The rest is dropped here, between frames: clearing during a capture would not hold."""
        heard_ms = max(0.0, stop.sent_ms - self._stage.queued_ms())
        self._stage.clear()
        self._audience.moved(self._mouth.rest(round(heard_ms)))
        self._audience.finished(stop.req_id, heard_ms, True)
