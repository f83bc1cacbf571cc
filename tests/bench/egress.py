"""Egress with persons in it instead of LiveKit rooms: `python -m tests.bench.egress`.

Its settings are egress' own; VISAVIS_BENCH_FOLDER is where it meets the benchmark: it writes
`<pid>.jsonl` there and waits for the file `go`, which holds the monotonic time to begin at.
VISAVIS_BENCH_QUESTIONS: WAV files, separated by colons. VISAVIS_BENCH_TURNS: how many of them each
person asks.
"""

import asyncio
import json
import os
import time
import wave
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import soxr
from pydantic import Field

from tests.bench.mirror import MirrorRoom, Script
from tests.support.fake_room import FakeAdmin
from tests.support.recording import Samples
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_egress.audio_only import AudioOnlyAvatar
from visavis_egress.avatar import Avatar, Identity, OnLost
from visavis_egress.holder import Hall
from visavis_egress.journal import Journal
from visavis_egress.lease import Lease, LeaseTimes
from visavis_egress.room import MICROPHONE_RATE_HZ
from visavis_egress.seat import OnPlayback
from visavis_egress.session import Parts
from visavis_egress.settings import Settings
from visavis_egress.silero import SileroDetection
from visavis_egress.smart_turn import SmartTurn
from visavis_egress.text_scorer import BusTextScorer
from visavis_egress.vad import WINDOW_BYTES
from visavis_egress.worker import Worker
from visavis_egress.works import Works
from visavis_runtime import lifecycle
from visavis_runtime.bus import Bus
from visavis_runtime.health import Health
from visavis_runtime.settings import load

GO = "go"
_POLL_S = 0.1


class BenchSettings(Settings):
    """Egress' settings and the benchmark's."""

    folder: Path = Field(validation_alias="VISAVIS_BENCH_FOLDER")
    questions: str = Field(validation_alias="VISAVIS_BENCH_QUESTIONS")
    turns: int = Field(validation_alias="VISAVIS_BENCH_TURNS", ge=1)
    slots: int = Field(8, validation_alias="VISAVIS_SESSION_SLOTS", ge=1, le=1024)


class Notes:
    """What this process tells the benchmark, a line for each thing."""

    def __init__(self, folder: Path) -> None:
        self._go = folder / GO
        self._file = (folder / f"{os.getpid()}.jsonl").open("w", buffering=1)

    def put(self, session_id: str, what: str, numbers: dict[str, float] | None = None) -> None:
        """Write one thing down."""
        line = {"session": session_id, "what": what, **(numbers or {})}
        self._file.write(json.dumps(line) + "\n")

    async def go(self) -> None:
        """Return when the benchmark begins."""
        while not self._go.exists():
            await asyncio.sleep(_POLL_S)
        begin = float(self._go.read_text())
        await asyncio.sleep(max(0.0, begin - time.monotonic()))


def main() -> None:
    """Run it as the service is run."""
    settings = load(BenchSettings)
    questions = [samples(Path(name)) for name in settings.questions.split(":")]
    detection = SileroDetection()
    detection.detector().probability(bytes(WINDOW_BYTES))
    smart_turn = SmartTurn() if settings.sound_scorer else None
    if smart_turn:
        smart_turn.probability(bytes(WINDOW_BYTES))
    notes, rooms = Notes(settings.folder), count()

    def parts(bus: Bus, lease: Lease, spec: pb.SessionSpec) -> Parts:
        sid = lease.session_id
        script = Script(
            questions,
            settings.turns,
            notes.go,
            note=partial(notes.put, sid, "turn"),
            ready=partial(notes.put, sid, "ready"),
            done=partial(notes.put, sid, "done"),
            first=next(rooms),
            seed=sid,
        )
        room = MirrorRoom(script)

        async def voice_alone(_: OnLost, on_playback: OnPlayback) -> Avatar:
            return AudioOnlyAvatar(room, on_playback)

        return Parts(
            bus=bus,
            lease=lease,
            journal=Journal(bus, lease),
            room=room,
            detector=detection.detector(),
            works=Works(bus, sid, lease.generation, spec.resolved),
            make_avatar=voice_alone,
            fallback=None,
            evict_others=_nobody_else,
            text_scorer=BusTextScorer(bus) if settings.text_scorer else None,
            sound_scorer=smart_turn,
        )

    lifecycle.run("egress", settings, partial(_serve, settings, parts))


async def _serve(
    settings: BenchSettings,
    parts: Callable[[Bus, Lease, pb.SessionSpec], Parts],
    bus: Bus,
    _: Health,
    stopping: asyncio.Event,
) -> None:
    hall = Hall(
        bus,
        FakeAdmin(),
        partial(parts, bus),
        lambda _: Identity("none", "audio_only"),
        instance=f"bench-{os.getpid()}",
        lease_times=LeaseTimes(settings.lease_s),
    )
    await Worker(hall, settings.slots).run(stopping)


async def _nobody_else() -> None:
    """There are no other avatars."""


def samples(path: Path) -> Samples:
    """A mono s16 WAV file at the microphone's rate."""
    with wave.open(str(path), "rb") as file:
        found = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        at_rate: Samples = soxr.resample(found, file.getframerate(), MICROPHONE_RATE_HZ)
        return at_rate.astype(np.int16)


if __name__ == "__main__":
    main()
