"""The voice without a face: our own track in the room."""

import asyncio
from collections import deque

import numpy as np

from visavis_egress.ending import ended
from visavis_egress.room import AvatarPlayed, AvatarPlays, Room, RoomListener, Voice
from visavis_runtime.subjects import SPEECH_RATE_HZ

_FRAME_BYTES = SPEECH_RATE_HZ * 2 // 50
"""20 ms: what is in the SDK's hands cannot be taken back, so it gets little at a time."""

_LOW = 0.25
"""-12 dB: the person hears that they are heard, and the words are still there."""


class AudioOnlyAvatar:
    """See `visavis_egress.avatar.Avatar`. Reports its playback itself."""

    def __init__(self, room: Room, listener: RoomListener) -> None:
        self._room, self._tell = room, listener
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._voice: Voice | None = None
        self._pump_task: asyncio.Task[None] | None = None
        self._played_bytes = 0
        self._is_playing = self._is_ending = False
        self._gain = 1.0

    async def start(self) -> str:
        self._voice = await self._room.open_voice()
        self._pump_task = asyncio.create_task(self._pump(self._voice))
        return ""

    async def play(self, pcm: bytes) -> None:
        self._queue.extend(
            pcm[start : start + _FRAME_BYTES] for start in range(0, len(pcm), _FRAME_BYTES)
        )
        self._wake.set()

    async def finish(self) -> None:
        self._is_ending = True
        self._wake.set()

    async def interrupt(self) -> None:
        self._queue.clear()
        self._is_ending = False  # also of a request that had not begun to play
        if self._voice and self._is_playing:
            queued_s = self._voice.queued_s
            self._voice.clear()
            self._report(interrupted=True, unplayed_s=queued_s)

    async def duck(self, *, is_low: bool) -> None:
        self._gain = _LOW if is_low else 1.0

    async def aclose(self) -> None:
        self._queue.clear()
        if self._voice:
            self._voice.clear()
        if self._pump_task:
            await ended([self._pump_task])

    async def _pump(self, voice: Voice) -> None:
        while True:
            if self._queue:
                await self._capture(voice, self._queue.popleft())
            elif self._is_ending and self._is_playing:
                await asyncio.sleep(voice.queued_s)
                if self._is_ending and not self._queue:
                    self._report(interrupted=False, unplayed_s=0.0)
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _capture(self, voice: Voice, frame: bytes) -> None:
        if not self._is_playing:
            self._is_playing, self._played_bytes = True, 0
            self._tell(AvatarPlays())
        self._played_bytes += len(frame)
        await voice.capture(frame if self._gain == 1.0 else _scaled(frame, self._gain))

    def _report(self, *, interrupted: bool, unplayed_s: float) -> None:
        self._is_playing = self._is_ending = False
        position_s = max(0.0, self._played_bytes / 2 / SPEECH_RATE_HZ - unplayed_s)
        self._tell(AvatarPlayed(position_s, interrupted))


def _scaled(frame: bytes, gain: float) -> bytes:
    return (np.frombuffer(frame, "<i2") * gain).astype("<i2").tobytes()
