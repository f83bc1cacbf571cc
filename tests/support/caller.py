"""A person in a room: speaks WAV files, records what is heard, reads what the room says.

The one caller of demo, tests and benchmarks, and the only file of theirs that imports livekit.rtc.
How to open a session: `tests.support.session_api`; this part needs only an address and a token.
"""

import asyncio
import time
import wave
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import soxr
from livekit import rtc
from livekit.rtc.participant import PublishTrackError, UnpublishTrackError

from tests.support.observed import Observed
from tests.support.recording import RATE_HZ, Recording, Samples
from tests.support.utterance import Spoken, Utterance

MICROPHONE_HZ = 48_000
FRAME = MICROPHONE_HZ // 50
# How far capturing runs ahead of the wire. A multiple of 10, else the native library aborts.
QUEUE_MS = 100
POLL_S = 0.02
UNPUBLISH_S = 1.0
RECONNECT_S = 20.0

REFUSALS = (rtc.ConnectError, PublishTrackError)
"""What a join raises when there is no room, or it is lost meanwhile."""

STATE_ATTRIBUTE = "lk.agent.state"
BEHALF_ATTRIBUTE = "lk.publish_on_behalf"


class Caller:
    """`async with await Caller.join(url, token) as caller: spoken = await caller.speak(wav)`."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.recording = Recording()
        self.observed = Observed()
        self._source = rtc.AudioSource(MICROPHONE_HZ, 1, queue_size_ms=QUEUE_MS)
        self._publication: rtc.LocalTrackPublication | None = None
        self._utterance: Utterance | None = None
        self._speaking = asyncio.Lock()
        self._leaving = False
        self._microphone: asyncio.Task[None] | None = None
        self._streams: dict[str, tuple[rtc.AudioStream, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        _Ears(self).attach()

    @classmethod
    async def join(cls, url: str, token: str, *, microphone: bool = True) -> "Caller":
        """Come into the room and, unless told otherwise, publish a microphone. rtc.ConnectError."""
        caller = cls(rtc.Room())
        options = rtc.RoomOptions(auto_subscribe=False)
        connecting = asyncio.create_task(caller.room.connect(url, token, options))
        try:
            # A cancelled connect leaves a ghost in the room and ends the process 15 s later.
            await asyncio.shield(connecting)
            caller._greet()
            if microphone:
                await caller._publish()
        except BaseException:
            await asyncio.wait([connecting])
            await caller.leave()
            raise
        return caller

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.leave()

    @property
    def identity(self) -> str:
        """The person's own."""
        return self.room.local_participant.identity

    @property
    def is_connected(self) -> bool:
        """In the room; False, too, while the SDK makes a lost connection anew."""
        return self.room.connection_state == rtc.ConnectionState.CONN_CONNECTED

    @property
    def agent(self) -> str:
        """The identity of the agent in the room (not of its avatar); empty while there is none."""
        for participant in self.room.remote_participants.values():
            is_agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
            if is_agent and BEHALF_ATTRIBUTE not in participant.attributes:
                return participant.identity
        return ""

    async def speak(self, wav: Path) -> Spoken:
        """Say a mono s16 WAV file of any rate; returns when it is out. ValueError: it is silent."""
        with wave.open(str(wav), "rb") as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2), f"{wav}: not mono s16"
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            return await self.speak_samples(samples, file.getframerate())

    async def speak_samples(self, samples: Samples, rate_hz: int) -> Spoken:
        """The same for samples in memory. One utterance after the other."""
        at_rate = soxr.resample(samples, rate_hz, MICROPHONE_HZ).astype(np.int16)
        async with self._speaking:
            if not self._microphone or self._microphone.done():
                raise ConnectionError("there is no open microphone")
            self._utterance = utterance = Utterance(at_rate, MICROPHONE_HZ, FRAME)
            spoken = await utterance.done
            await asyncio.sleep(max(0.0, spoken.end - time.monotonic()))
        return spoken

    async def send_chat(self, text: str) -> None:
        """Type to the agent."""
        await self.room.local_participant.send_text(text, topic="lk.chat")

    async def call(self, method: str, payload: str = "", *, timeout_s: float = 5.0) -> str:
        """An RPC to the agent. Raises rtc.RpcError."""
        return await self.room.local_participant.perform_rpc(
            destination_identity=self.agent,
            method=method,
            payload=payload,
            response_timeout=timeout_s,
        )

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> float:
        """Wait until something holds; the monotonic time at which it did. TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(POLL_S)
        return time.monotonic()

    async def jitter_buffer_s(self) -> float | None:
        """Mean delay that the jitter buffers of what is heard have added; None: nothing is known.

        Grows by itself where the machine is short of CPU, and is part of every latency.
        """
        delay_s = samples = 0.0
        for participant in self.room.remote_participants.values():
            for publication in participant.track_publications.values():
                if not isinstance(publication.track, rtc.RemoteAudioTrack):
                    continue
                for one in await publication.track.get_stats():
                    if one.WhichOneof("stats") == "inbound_rtp":
                        delay_s += one.inbound_rtp.inbound.jitter_buffer_delay
                        samples += one.inbound_rtp.inbound.jitter_buffer_emitted_count
        return delay_s / samples if samples else None

    async def reconnect(self, *, entirely: bool = True) -> None:
        """Lose the connection, or its signalling alone, and have the SDK mend it. TimeoutError."""
        again = asyncio.Event()
        self.room.once("reconnected", again.set)
        kinds = rtc.SimulateScenarioKind
        full, signal = kinds.SIMULATE_FULL_RECONNECT, kinds.SIMULATE_SIGNAL_RECONNECT
        await self.room.simulate_scenario(full if entirely else signal)
        async with asyncio.timeout(RECONNECT_S):
            await again.wait()

    async def leave(self) -> None:
        """Leave the room and close everything; harmless when repeated."""
        self._leaving = True
        if self._microphone:
            # It ends between two frames: a cancelled capture makes the next one fail.
            await self._microphone
        publication, self._publication = self._publication, None
        if publication and self.room.isconnected():
            # Disconnecting with a published track leaks threads (livekit 1.2.1).
            # In a room that was just deleted the answer is an error, or never comes.
            with suppress(UnpublishTrackError, TimeoutError):
                async with asyncio.timeout(UNPUBLISH_S):
                    await self.room.local_participant.unpublish_track(publication.sid)
        for track in list(self._streams):
            await _unhear(self._streams.pop(track))
        await self.room.disconnect()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._source.aclose()

    async def _publish(self) -> None:
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._publication = await self.room.local_participant.publish_track(track, options)
        self._microphone = asyncio.create_task(self._feed_microphone())

    async def _feed_microphone(self) -> None:
        """Frame after frame, silence between utterances: the far side must hear real silence."""
        silence = np.zeros(FRAME, dtype=np.int16)
        while not self._leaving and self.room.isconnected():
            utterance = self._utterance
            samples = utterance.frame() if utterance else silence
            out_at = time.monotonic() + self._source.queued_duration
            frame = rtc.AudioFrame(samples.tobytes(), MICROPHONE_HZ, 1, FRAME)
            await self._source.capture_frame(frame)
            if utterance and utterance.sent(out_at):
                self._utterance = None
        if self._utterance and not self._utterance.done.done():
            self._utterance.done.set_exception(ConnectionError("the room is gone"))

    def _greet(self) -> None:
        """What was in the room before us gives no event."""
        ears = _Ears(self)
        for participant in self.room.remote_participants.values():
            ears.on_joined(participant)
            for publication in participant.track_publications.values():
                ears.on_published(publication, participant)

    def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=20)
        task = asyncio.create_task(self._record(track.sid, stream))
        self._streams[track.sid] = (stream, task)

    async def _record(self, track: str, stream: rtc.AudioStream) -> None:
        async for event in stream:
            self.recording.add(track, bytes(event.frame.data), time.monotonic())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def rejoined(caller: Caller, url: str, token: str) -> Caller:
    """As every client does: one try to be in again where the room was lost, else as it is."""
    if caller.observed.disconnect_reason:
        await caller.leave()
        with suppress(*REFUSALS):
            return await Caller.join(url, token)
    return caller


async def _unhear(found: tuple[rtc.AudioStream, asyncio.Task[None]]) -> None:
    stream, task = found
    task.cancel()
    await asyncio.wait([task])
    await stream.aclose()


class _Ears:
    """Room events to what `Observed` holds. Handlers must not block."""

    def __init__(self, caller: Caller) -> None:
        self._caller, self._seen = caller, caller.observed

    def attach(self) -> None:
        room = self._caller.room
        room.on("participant_connected", self.on_joined)
        room.on("participant_disconnected", self._on_left)
        room.on("participant_attributes_changed", self._on_attributes)
        room.on("track_published", self.on_published)
        room.on("track_subscribed", self._on_subscribed)
        room.on("track_unsubscribed", self._on_unsubscribed)
        room.on("data_received", self._on_data)
        room.on("reconnected", self._on_reconnected)
        room.on("disconnected", self._on_disconnected)
        room.register_text_stream_handler("lk.transcription", self._on_transcription)

    def on_joined(self, participant: rtc.RemoteParticipant) -> None:
        self._seen.joined.append((time.monotonic(), participant.identity))
        self._on_attributes(participant.attributes, participant)

    def on_published(
        self, publication: rtc.RemoteTrackPublication, _: rtc.RemoteParticipant
    ) -> None:
        if publication.kind == rtc.TrackKind.KIND_AUDIO:
            publication.set_subscribed(True)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        self._seen.left.append((time.monotonic(), participant.identity))

    def _on_attributes(self, changed: dict[str, str], _: rtc.Participant) -> None:
        if STATE_ATTRIBUTE in changed:
            self._seen.agent_states.append((time.monotonic(), changed[STATE_ATTRIBUTE]))

    def _on_subscribed(self, track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and not self._caller._leaving:
            self._caller._hear(track)

    def _on_unsubscribed(self, track: rtc.Track, *_: object) -> None:
        # Out of the table at once: after a reconnect the same track comes back under its name.
        if found := self._caller._streams.pop(track.sid, None):
            self._caller._spawn(_unhear(found))

    def _on_data(self, packet: rtc.DataPacket) -> None:
        self._seen.data.append((time.monotonic(), packet.topic or "", packet.data))

    def _on_reconnected(self) -> None:
        # What is subscribed while the SDK joins anew gets lost (livekit 1.2.1).
        for participant in self._caller.room.remote_participants.values():
            for publication in participant.track_publications.values():
                self.on_published(publication, participant)

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._seen.disconnect_reason = rtc.DisconnectReason.Name(reason)

    def _on_transcription(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._caller._spawn(self._read(reader, identity))

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        """One stream of a segment: the whole text so far, or pieces as they are said."""
        attributes = reader.info.attributes or {}
        segment_id = attributes.get("lk.segment_id", reader.info.stream_id)
        segment = self._seen.segment(identity, segment_id)
        text = ""
        try:
            async for piece in reader:
                text += piece
                segment.text, segment.last = text, time.monotonic()
        except rtc.StreamError:
            return
        attributes = reader.info.attributes or {}
        segment.text = text
        segment.final = attributes.get("lk.transcription_final") == "true"
        if not segment.final:
            segment.drafts.append(text)
