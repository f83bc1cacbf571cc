"""Wires egress together: the only file of it that names concrete classes."""

import asyncio
import os
import socket
from dataclasses import dataclass
from functools import partial

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.audio_only import AudioOnlyAvatar
from visavis_egress.avatar import Avatar, Identity, OnLost
from visavis_egress.conversation.config import Timing
from visavis_egress.holder import Hall
from visavis_egress.journal import Journal
from visavis_egress.lease import Lease, LeaseTimes
from visavis_egress.livekit_admin import LiveKitAdmin
from visavis_egress.livekit_room import LiveKitRoom
from visavis_egress.room import agent_identity, avatar_identity
from visavis_egress.scorers import SoundScorer
from visavis_egress.seat import OnPlayback
from visavis_egress.session import Parts
from visavis_egress.settings import Settings
from visavis_egress.silero import SileroDetection
from visavis_egress.smart_turn import SmartTurn
from visavis_egress.spatius_avatar import Account, Place, SpatiusAvatar, silence_telemetry
from visavis_egress.text_scorer import BusTextScorer
from visavis_egress.vad import WINDOW_BYTES, VoiceDetection
from visavis_egress.worker import Worker
from visavis_egress.works import Works
from visavis_runtime import lifecycle
from visavis_runtime.bus import Bus
from visavis_runtime.health import Health
from visavis_runtime.settings import load


@dataclass(frozen=True, slots=True)
class Listening:
    """The models that hear; all sessions of the process share them."""

    voice: VoiceDetection
    turn_end: SoundScorer | None


def main() -> None:
    """Run the service."""
    settings = load(Settings)
    if not settings.spatius_telemetry:
        silence_telemetry()
    detection = SileroDetection()
    detection.detector().probability(bytes(WINDOW_BYTES))  # the first run is a slow one
    smart_turn = SmartTurn() if settings.sound_scorer else None
    if smart_turn:
        smart_turn.probability(bytes(WINDOW_BYTES))

    async def serve(bus: Bus, _: Health, stopping: asyncio.Event) -> None:
        secret = settings.livekit_api_secret.get_secret_value()
        admin = LiveKitAdmin(settings.livekit_url, settings.livekit_api_key, secret)
        hall = Hall(
            bus,
            admin,
            partial(_parts, settings, bus, admin, Listening(detection, smart_turn)),
            partial(_identity, settings),
            instance=f"{socket.gethostname()}-{os.getpid()}",
            lease_times=LeaseTimes(settings.lease_s),
            timing=Timing(stateful_model=settings.stateful_model),
        )
        try:
            await Worker(hall, settings.slots).run(stopping)
        finally:
            await admin.aclose()
            if smart_turn:
                smart_turn.close()

    lifecycle.run("egress", settings, serve)


def _parts(
    settings: Settings,
    bus: Bus,
    admin: LiveKitAdmin,
    listening: Listening,
    lease: Lease,
    spec: pb.SessionSpec,
) -> Parts:
    sid = lease.session_id
    publisher = avatar_identity(sid, lease.generation)
    room = LiveKitRoom(
        settings.livekit_url,
        admin.agent_token(sid),
        lambda: admin.create(sid),
        person=spec.participant_identity,
        avatar=publisher,
    )

    async def voice_alone(_: OnLost, on_playback: OnPlayback) -> Avatar:
        await admin.evict_avatars(sid, keep="")
        return AudioOnlyAvatar(room, on_playback)

    async def face(on_lost: OnLost, _: OnPlayback) -> Avatar:
        await admin.evict_avatars(sid, keep="")
        place = Place(
            settings.livekit_vendor_url or settings.livekit_url,
            admin.avatar_token(sid, publisher),
            room=sid,
            publisher=publisher,
            agent=agent_identity(sid),
        )
        avatar_id = spec.resolved.avatar_id or settings.spatius_avatar_id
        return SpatiusAvatar(_account(settings), avatar_id, place, on_lost)

    ends = spec.resolved.avatar_fallback == api.AVATAR_FALLBACK_END
    return Parts(
        bus=bus,
        lease=lease,
        journal=Journal(bus, lease),
        room=room,
        detector=listening.voice.detector(),
        works=Works(bus, sid, lease.generation, spec.resolved),
        make_avatar=face if settings.avatar == "spatius" else voice_alone,
        fallback=None if ends else voice_alone,
        evict_others=lambda: admin.evict_avatars(sid, keep=publisher),
        text_scorer=BusTextScorer(bus) if settings.text_scorer else None,
        sound_scorer=listening.turn_end,
    )


def _account(settings: Settings) -> Account:
    return Account(
        settings.spatius_api_key.get_secret_value(),
        settings.spatius_app_id,
        settings.spatius_region,
        settings.spatius_console_endpoint,
        settings.spatius_ingress_endpoint,
    )


def _identity(settings: Settings, spec: pb.SessionSpec) -> Identity:
    if settings.avatar != "spatius":
        return Identity("none", "audio_only")
    return Identity(
        "spatius",
        "livekit_egress",
        settings.spatius_app_id,
        spec.resolved.avatar_id or settings.spatius_avatar_id,
        settings.spatius_region,
    )


if __name__ == "__main__":
    main()
