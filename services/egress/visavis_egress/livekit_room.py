"""A session's room by the LiveKit SDK; the only file of egress that imports livekit.rtc.

Hazards of the SDK that shape this file (livekit 1.2.1): a cancelled `connect` ends the process 15 s
later; streams must be closed one by one; a published track must be unpublished before leaving.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from livekit import rtc
from livekit.rtc.participant import UnpublishTrackError

from visavis_egress import telemetry
from visavis_egress.ending import ended
from visavis_egress.errors import RoomUnavailable
from visavis_egress.livekit_captions import Captions
from visavis_egress.livekit_stats import reception
from visavis_egress.microphone_watch import StallDetector, watch
from visavis_egress.room import (
    MICROPHONE_RATE_HZ,
    AvatarPlayed,
    AvatarPlays,
    ChatArrived,
    ChatRefused,
    EndAsked,
    InterruptAsked,
    MicrophoneFlows,
    MicrophoneOpened,
    MicrophoneSound,
    OtherAvatarCame,
    PersonCame,
    PersonReplaced,
    PersonWent,
    RoomEvent,
    RoomListener,
    RoomLost,
    TurnEndAsked,
    TurnStartAsked,
)
from visavis_runtime import log
from visavis_runtime.subjects import MAX_TEXT_CHARACTERS, SPEECH_RATE_HZ

logger = log.get(__name__)

_QUEUE_MS = 100
_UNPUBLISH_S = 1.0
_FRAME_MS = 20
_MEND_S = 60.0
_MEND_PAUSE_S = 0.2
_NOT_ALLOWED, _MALFORMED = 403, 400
_TURN_EVENTS: dict[str, RoomEvent] = {"start": TurnStartAsked(), "end": TurnEndAsked()}
"""By payload of `visavis.turn`."""
_ANSWER_S = 0.2
"""For the answer to a call that ends the session to get through, before the room is deleted."""
_MICROPHONE_FRAMES = 50
"""A second of frames: older ones are dropped when the event loop is late."""


class LiveKitRoom:
    """See `visavis_egress.room.Room`. One object, one connection.

    `make`: makes sure that the room exists, returns its id, raises RoomUnavailable.
    """

    def __init__(
        self, url: str, token: str, make: Callable[[], Awaitable[str]], *, person: str, avatar: str
    ) -> None:
        self._url, self._token = url, token
        self._person, self._avatar = person, avatar
        self._tell: RoomListener = lambda _: None
        self._room = rtc.Room()
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._microphone: rtc.AudioStream | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stalls = StallDetector()
        self._captions = Captions(lambda: self._room.local_participant)
        self._voice: LiveKitVoice | None = None
        self._closing = False
        self._make = make
        self._mending: asyncio.Task[None] | None = None

    async def open(self, listener: RoomListener) -> None:
        self._tell = listener
        room = self._room
        room.on("participant_connected", self._on_participant)
        room.on("participant_disconnected", self._on_participant_gone)
        room.on("track_published", self._on_track_published)
        room.on("track_subscribed", self._on_track)
        room.on("track_unsubscribed", self._on_track_gone)
        room.on("reconnecting", self._on_reconnecting)
        room.on("reconnected", self._on_reconnected)
        room.on("disconnected", self._on_disconnected)
        room.register_text_stream_handler("lk.chat", self._on_chat)
        connecting = asyncio.ensure_future(
            room.connect(self._url, self._token, rtc.RoomOptions(auto_subscribe=False))
        )
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # Never cancel a connect: let it end, then leave.
            with suppress(rtc.ConnectError):
                await connecting
            await self.aclose()
            raise
        except rtc.ConnectError as error:
            raise RoomUnavailable(f"cannot join: {error}") from error
        me = room.local_participant
        me.register_rpc_method("lk.playback_started", self._on_playback_started)
        me.register_rpc_method("lk.playback_finished", self._on_playback_finished)
        me.register_rpc_method("visavis.interrupt", self._on_asked(InterruptAsked()))
        me.register_rpc_method("visavis.end", self._on_asked(EndAsked(), _ANSWER_S))
        me.register_rpc_method("visavis.turn", self._on_turn)
        # The first packet on a fresh data channel can take seconds; let it be this one.
        await me.publish_data(b"", topic="visavis.warm-up")
        for participant in room.remote_participants.values():
            self._on_participant(participant)
        self._subscribe()

    async def show_state(self, state: str) -> None:
        await self._room.local_participant.set_attributes({"lk.agent.state": state})

    async def show_user_words(self, segment: str, text: str, *, final: bool = True) -> None:
        await self._captions.user(segment, text, self._person, final=final)

    async def show_agent_words(self, segment: str, delta: str, *, final: bool) -> None:
        await self._captions.agent(segment, delta, final=final)

    async def open_voice(self) -> "LiveKitVoice":
        if self._voice is None:
            source = rtc.AudioSource(SPEECH_RATE_HZ, 1, queue_size_ms=_QUEUE_MS)
            track = rtc.LocalAudioTrack.create_audio_track("voice", source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            publication = await self._room.local_participant.publish_track(track, options)
            self._voice = LiveKitVoice(source, publication.sid)
        return self._voice

    async def aclose(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._microphone:
            await self._microphone.aclose()
        await ended(self._tasks)
        await asyncio.gather(*self._endings, return_exceptions=True)
        if self._voice:
            if self._room.isconnected():
                # In a room that was just deleted the SDK's answer never comes (tried, 1.2.1).
                with suppress(UnpublishTrackError, TimeoutError):
                    async with asyncio.timeout(_UNPUBLISH_S):
                        await self._room.local_participant.unpublish_track(self._voice.track_sid)
            await self._voice.aclose()
        await self._room.disconnect()

    # The person

    def bind(self, identity: str) -> None:
        if self._closing or identity == self._person:
            return
        former, self._person = self._person, identity
        self._close_microphone()
        self._tell(PersonReplaced())
        others = self._room.remote_participants
        for publication in others[former].track_publications.values() if former in others else ():
            if publication.source == rtc.TrackSource.SOURCE_MICROPHONE:
                publication.set_subscribed(False)
        if identity in others:
            self._tell(PersonCame())
        self._subscribe()

    def _on_participant(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._person:
            self._tell(PersonCame())
        speaks_for = participant.attributes.get("lk.publish_on_behalf")
        is_ours = speaks_for == self._room.local_participant.identity
        if is_ours and participant.identity != self._avatar:
            self._tell(OtherAvatarCame())

    def _on_participant_gone(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._person:
            self._tell(PersonWent())

    def _subscribe(self) -> None:
        for participant in self._room.remote_participants.values():
            for publication in participant.track_publications.values():
                self._on_track_published(publication, participant)

    def _on_track_published(
        self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        # Nothing else is subscribed: the avatar's own voice would come back as the person's.
        is_microphone = publication.source == rtc.TrackSource.SOURCE_MICROPHONE
        if participant.identity == self._person and is_microphone:
            publication.set_subscribed(True)

    def _on_track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if participant.identity != self._person or track.kind != rtc.TrackKind.KIND_AUDIO:
            return
        self._close_microphone()
        self._microphone = rtc.AudioStream(
            track,
            sample_rate=MICROPHONE_RATE_HZ,
            num_channels=1,
            frame_size_ms=_FRAME_MS,
            capacity=_MICROPHONE_FRAMES,
        )
        self._spawn(self._read_microphone(self._microphone))
        self._stalls, read = StallDetector(), partial(reception, track, publication)
        self._watching = self._spawn(watch(self._stalls, read, self._tell))
        self._tell(MicrophoneOpened())

    def _on_track_gone(self, _track: rtc.Track, *rest: Any) -> None:
        if rest[-1].identity == self._person:
            self._close_microphone()

    def _close_microphone(self) -> None:
        # The stream does not end when the person leaves: it would yield silence for ever.
        if self._microphone:
            self._spawn(self._microphone.aclose(), self._endings)
            self._microphone = None
        if self._watching:
            self._watching.cancel()
            self._watching = None
            if self._stalls.is_stalled:
                self._tell(MicrophoneFlows())

    async def _read_microphone(self, stream: rtc.AudioStream) -> None:
        async for event in stream:
            # A closed one may have some left.
            if not self._closing and stream is self._microphone:
                self._tell(MicrophoneSound(bytes(event.frame.data)))

    def _on_chat(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._spawn(self._read_chat(reader, identity == self._person))

    async def _read_chat(self, reader: rtc.TextStreamReader, is_bound: bool) -> None:
        text = ""
        try:
            async for piece in reader:
                text = (text + piece)[: MAX_TEXT_CHARACTERS + 1]
        except rtc.StreamError as error:
            logger.info("room.chat_broken", reason=str(error))
            return
        if not is_bound or not text.strip():
            logger.info("room.chat_ignored", bound=is_bound, characters=len(text))
        elif len(text) > MAX_TEXT_CHARACTERS:
            reason = f"lk.chat: the text has more than {MAX_TEXT_CHARACTERS} characters"
            self._tell(ChatRefused(reason))
        else:
            self._tell(ChatArrived(text.strip()))

    def _on_asked(
        self, event: RoomEvent, after_s: float = 0.0
    ) -> "Callable[[rtc.RpcInvocationData], Awaitable[str]]":
        async def handle(call: rtc.RpcInvocationData) -> str:
            self._check_caller(call)
            asyncio.get_running_loop().call_later(after_s, self._tell, event)
            return "ok"

        return handle

    async def _on_turn(self, call: rtc.RpcInvocationData) -> str:
        self._check_caller(call)
        if call.payload not in _TURN_EVENTS:
            allowed = " or ".join(f'"{payload}"' for payload in _TURN_EVENTS)
            raise rtc.RpcError(_MALFORMED, f"the payload of visavis.turn must be {allowed}")
        self._tell(_TURN_EVENTS[call.payload])
        return "ok"

    def _check_caller(self, call: rtc.RpcInvocationData) -> None:
        if call.caller_identity != self._person:
            raise rtc.RpcError(_NOT_ALLOWED, "only the person of this session may call this")

    # The avatar

    async def _on_playback_started(self, call: rtc.RpcInvocationData) -> str:
        if call.caller_identity != self._avatar:
            return "reject"
        self._tell(AvatarPlays())
        return "ok"

    async def _on_playback_finished(self, call: rtc.RpcInvocationData) -> str:
        if call.caller_identity != self._avatar:
            return "reject"
        try:
            report = json.loads(call.payload)
            event = AvatarPlayed(float(report["playback_position"]), bool(report["interrupted"]))
        except (ValueError, KeyError, TypeError):
            logger.warning("room.playback_report_malformed")
            return "reject"
        self._tell(event)
        return "ok"

    # The connection

    def _on_reconnecting(self) -> None:
        self._note("reconnecting")
        if not self._closing and (self._mending is None or self._mending.done()):
            self._mending = self._spawn(self._mend())

    async def _mend(self) -> None:
        """Have the room there again; leave if it is another one.

        A restarted server knows no rooms, and nobody but us may make one. The SDK would come back
        only at one of its tries, seconds apart, and then without what others see of us.
        """
        joined = await self._room.sid
        deadline = time.monotonic() + _MEND_S
        while time.monotonic() < deadline:
            try:
                if await self._make() != joined:
                    self._spawn(self._let_go(), self._endings)
                return
            except RoomUnavailable:
                await asyncio.sleep(_MEND_PAUSE_S)

    async def _let_go(self) -> None:
        self._note("room_made_anew")
        # First, so that the SDK does not come back beside a successor under the same identity. It
        # tells its own end most of the time only (tried, 1.2.1).
        self._room.off("disconnected", self._on_disconnected)
        await self._room.disconnect()
        if not self._closing:
            self._tell(RoomLost("ROOM_MADE_ANEW", is_replaced=False))

    def _note(self, step: str) -> None:
        telemetry.ROOM_RECONNECTS_TOTAL.labels(step).inc()
        logger.warning(f"room.{step}", room=self._room.name)

    def _on_reconnected(self) -> None:
        self._note("reconnected")
        # What is subscribed while the SDK joins anew gets lost, its events come earlier (1.2.1).
        self._subscribe()

    def _on_disconnected(self, reason: "rtc.DisconnectReason.ValueType") -> None:
        if not self._closing:
            is_replaced = reason == rtc.DisconnectReason.DUPLICATE_IDENTITY
            self._tell(RoomLost(rtc.DisconnectReason.Name(reason), is_replaced))

    def _spawn(
        self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]] | None = None
    ) -> asyncio.Task[None]:
        tasks = self._tasks if among is None else among
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task


class LiveKitVoice:
    """See `visavis_egress.room.Voice`."""

    def __init__(self, source: rtc.AudioSource, track_sid: str) -> None:
        self._source = source
        self.track_sid = track_sid

    async def capture(self, pcm: bytes) -> None:
        await self._source.capture_frame(rtc.AudioFrame(pcm, SPEECH_RATE_HZ, 1, len(pcm) // 2))

    def clear(self) -> None:
        self._source.clear_queue()

    @property
    def queued_s(self) -> float:
        return self._source.queued_duration

    async def aclose(self) -> None:
        """Free the source."""
        await self._source.aclose()
