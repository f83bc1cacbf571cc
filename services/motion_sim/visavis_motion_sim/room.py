"""The LiveKit room as a stage. The only file that imports livekit."""

import asyncio

import numpy as np
from livekit import rtc
from livekit.rtc.participant import PublishDataError, PublishTrackError, UnpublishTrackError

from visavis_motion_sim.stage import StageError
from visavis_motion_sim.wire import INVALID_ARGUMENT, UNAUTHENTICATED, UNAVAILABLE, Egress
from visavis_runtime import log

# Lead of the source over what is heard. A multiple of 10, else the native library aborts.
QUEUE_MS = 100
_UNPUBLISH_S = 1.0
# 22,050 Hz has no whole number of samples in 10 ms, the native library's unit.
_DOUBLED_RATE_HZ = 22050

logger = log.get(__name__)


def _doubled(pcm: bytes) -> bytes:
    """Twice the sample rate by linear interpolation; stand-in quality."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    following = np.append(samples[1:], samples[-1:])
    pairs = np.stack((samples, (samples + following) // 2), axis=1)
    return pairs.astype("<i2").tobytes()


async def join(egress: Egress, sample_rate_hz: int) -> "LiveKitStage":
    """Connect and publish. Never cancel this: a cancelled Room.connect() leaves a ghost."""
    room = rtc.Room()
    stage = LiveKitStage(room, sample_rate_hz)
    try:
        await room.connect(
            egress.url, egress.api_token, rtc.RoomOptions(auto_subscribe=False, dynacast=False)
        )
    except rtc.ConnectError as error:
        text = str(error)
        denied = "401" in text or "token" in text.lower()
        raise StageError(text, UNAUTHENTICATED if denied else UNAVAILABLE) from error
    try:
        stage.check(egress)
        await stage.publish()
    except StageError:
        await stage.leave()
        raise
    except PublishTrackError as error:
        await stage.leave()
        raise StageError(f"livekit publish: {error}", UNAUTHENTICATED) from error
    return stage


class LiveKitStage:
    """One room connection with one microphone track; publishes with the token's grants only."""

    def __init__(self, room: rtc.Room, sample_rate_hz: int) -> None:
        self.lost = asyncio.Event()
        self._room = room
        self._double = sample_rate_hz == _DOUBLED_RATE_HZ
        self._rate_hz = sample_rate_hz * 2 if self._double else sample_rate_hz
        self._source = rtc.AudioSource(self._rate_hz, 1, queue_size_ms=QUEUE_MS)
        self._publication: rtc.LocalTrackPublication | None = None
        self._left = False
        room.on("disconnected", self._on_disconnected)

    def _on_disconnected(self, reason: object) -> None:
        if not self._left:
            logger.info("room_lost", reason=str(reason))
            self.lost.set()

    def check(self, egress: Egress) -> None:
        """Hold the configuration against what the token really was for."""
        identity = self._room.local_participant.identity
        if self._room.name != egress.room_name:
            raise StageError("livekit_egress.room_name is not the token's", INVALID_ARGUMENT)
        if identity != egress.publisher_id:
            raise StageError("livekit_egress.publisher_id is not the token's", INVALID_ARGUMENT)

    async def publish(self) -> None:
        """Publish the one audio track."""
        track = rtc.LocalAudioTrack.create_audio_track("avatar-audio", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._publication = await self._room.local_participant.publish_track(track, options)

    async def play(self, pcm: bytes) -> None:
        """One 20 ms frame; paces once QUEUE_MS are waiting."""
        data = _doubled(pcm) if self._double else pcm
        await self._source.capture_frame(rtc.AudioFrame(data, self._rate_hz, 1, len(data) // 2))

    def queued_ms(self) -> float:
        """Audio captured and not yet played, by the source's own clock."""
        return max(0.0, float(self._source.queued_duration) * 1000.0)

    def clear(self) -> None:
        """Drop what is queued (0.1 ms)."""
        self._source.clear_queue()

    async def call(self, identity: str, method: str, payload: str) -> str | None:
        """RPC; failures are logged and answered with None, as the vendor's would be unseen."""
        try:
            return await self._room.local_participant.perform_rpc(
                destination_identity=identity, method=method, payload=payload, response_timeout=5.0
            )
        except rtc.RpcError as error:
            logger.warning("rpc_failed", method=method, code=error.code)
            return None

    async def send(self, payload: bytes, topic: str) -> None:
        """Lossy: a lost pose is replaced by the next one 40 ms later."""
        try:
            await self._room.local_participant.publish_data(payload, reliable=False, topic=topic)
        except PublishDataError as error:
            logger.warning("motion_send_failed", error=str(error))

    async def leave(self) -> None:
        """Unpublish first: a track published at disconnect can leak threads (python-sdks #465)."""
        if self._left:
            return
        self._left = True
        publication, self._publication = self._publication, None
        if publication is not None and self._room.isconnected():
            try:
                # In a room that is being deleted the SDK's answer never comes (tried, 1.2.1).
                async with asyncio.timeout(_UNPUBLISH_S):
                    await self._room.local_participant.unpublish_track(publication.sid)
            except (UnpublishTrackError, TimeoutError) as error:
                logger.warning("unpublish_failed", error=repr(error))
        await self._room.disconnect()
        await self._source.aclose()
