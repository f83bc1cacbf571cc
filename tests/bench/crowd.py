"""Persons behind in-process rooms: everything of ours is real, nothing of WebRTC is there.

Egress processes of the benchmark's own (tests.bench.egress) take the sessions, and their persons
speak and listen inside them. What they note is put together with the stored events afterwards, so
that nothing but the conversation runs while it is measured.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from tests.bench.egress import GO
from tests.bench.figures import Answers
from tests.bench.machine import Meter
from tests.bench.path import Turn
from tests.bench.rooms import GAP_S, INSTANT, QUESTIONS, Place, numbers, opened, seconds
from tests.bench.speculation import counted
from tests.support.servers import all_done
from tests.support.stack import RunningStack, running_stack
from tests.support.voices import speak_all
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_local.places import ROOT
from visavis_runtime import nats_bus, subjects

READY_WITHIN_S = 60.0
LONGEST_TURN_S = 40.0
_POLL_S = 0.25
_CREATED_AT_ONCE = 4
_AGAIN_S = 0.3

_NOWHERE = "ws://127.0.0.1:9"
_NOBODY = {
    **{f"VISAVIS_LIVEKIT_{name}": _NOWHERE for name in ("URL", "PUBLIC_URL", "VENDOR_URL")},
    "VISAVIS_LIVEKIT_API_KEY": "bench",
    "VISAVIS_LIVEKIT_API_SECRET": "of a server that is not there and not asked",
    "SPATIUS_API_KEY": "of nobody",
}
"""Leaves LiveKit and motion_sim out: tokens are signed and never used."""

Note = dict[str, Any]


@asynccontextmanager
async def place(settings: Mapping[str, str] | None = None) -> AsyncIterator[Place]:
    """The bus and all services but egress, with instant engines and without any media server."""
    services = ("token", "asr", "llm", "tts")
    async with (
        running_stack({**INSTANT, **_NOBODY, **(settings or {})}, services=services) as stack,
        opened(stack, "in-process") as one,
    ):
        yield one


async def ask(
    where: Place, sessions: int, turns: int, slots: int, *, silent_s: float = 3.0
) -> Answers:
    """So many sessions, with egress processes of `slots` each. `where`: see `place`.

    Nobody speaks in the first `silent_s`, to see what it costs to hold a session.
    """
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        crowd = _Crowd(where, Path(name), turns)
        try:
            return await crowd.ask(sessions, slots, silent_s)
        finally:
            await crowd.leave()


class _Crowd:
    def __init__(self, where: Place, folder: Path, turns: int) -> None:
        self._where, self._folder, self._turns = where, folder, turns
        self._sessions: list[str] = []

    @property
    def _stack(self) -> RunningStack:
        return self._where.world.stack

    async def ask(self, sessions: int, slots: int, silent_s: float) -> Answers:
        found = Answers("in-process", sessions)
        await self._open(-(-sessions // slots), slots)
        meter = Meter(self._where.pids)
        await self._create(sessions)
        await self._until("ready", sessions, READY_WITHIN_S)
        meter.begin()
        await asyncio.sleep(silent_s)
        found.silent_cpu = sum(
            one.cpu for name, one in meter.shares().items() if name.startswith("egress")
        )
        (self._folder / "go.part").write_text(str(time.monotonic() + 0.5))
        (self._folder / "go.part").rename(self._folder / GO)
        await asyncio.sleep(0.5)
        meter.begin()
        await self._until("done", sessions, self._turns * LONGEST_TURN_S)
        found.seconds, found.pressure = round(meter.seconds, 2), round(meter.pressure, 3)
        found.processes = meter.shares()
        found.speculation = await counted(self._stack)
        taken = sum(note["cpu"] for note in self._notes() if note["what"] == "done")
        found.persons_cpu = round(taken / found.seconds, 4)
        await self._collect(found)
        return found

    async def leave(self) -> None:
        """Egress first: an end of 200 sessions, one by one, is not what is looked at."""
        names = [name for name in self._stack.processes if name.startswith("egress-crowd")]
        gone = [self._stack.processes.pop(name) for name in names]
        await asyncio.gather(*(asyncio.to_thread(one.kill) for one in gone))
        ends = (self._where.world.api.end(session_id) for session_id in self._sessions)
        await asyncio.gather(*ends, return_exceptions=True)

    async def _open(self, processes: int, slots: int) -> None:
        wavs = await asyncio.to_thread(speak_all, QUESTIONS)
        environ = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "VISAVIS_BENCH_FOLDER": str(self._folder),
            "VISAVIS_BENCH_QUESTIONS": ":".join(str(wav) for wav in wavs),
            "VISAVIS_BENCH_TURNS": str(self._turns),
            "VISAVIS_SESSION_SLOTS": str(slots),
            "VISAVIS_AVATAR": "audio_only",
        }
        command = [sys.executable, "-m", "tests.bench.egress"]
        opened = []
        for index in range(processes):
            real = self._stack.layout.process("egress", 1, environ)  # a health port of its own
            opened.append(replace(real, name=f"egress-crowd-{index}", command=command))
        self._stack.processes.update({one.name: one for one in opened})
        await all_done(*(asyncio.to_thread(one.start) for one in opened))

    async def _create(self, sessions: int) -> None:
        limit = asyncio.Semaphore(_CREATED_AT_ONCE)
        overrides = api.SessionOverrides(greeting="")

        deadline = time.monotonic() + READY_WITHIN_S

        async def create() -> str:
            async with limit:
                while True:
                    try:
                        made = await self._where.world.api.create("nova", overrides=overrides)
                        return made.session.session_id
                    except grpc.aio.AioRpcError as error:
                        is_full = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                        if not is_full or time.monotonic() > deadline:
                            raise
                    await asyncio.sleep(_AGAIN_S)  # the slots are there, and not taken up yet

        self._sessions = await asyncio.gather(*(create() for _ in range(sessions)))

    async def _until(self, what: str, count: int, within_s: float) -> None:
        """Until so many persons have said so, or the time is over: what is missing is lost."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if sum(note["what"] == what for note in self._notes()) >= count:
                return
            await asyncio.sleep(_POLL_S)

    def _notes(self) -> list[Note]:
        lines = (path.read_text().splitlines() for path in self._folder.glob("*.jsonl"))
        return [json.loads(line) for some in lines for line in some if line.endswith("}")]

    async def _collect(self, found: Answers) -> None:
        notes = self._notes()
        bus = await nats_bus.NatsBus().connect(self._stack.layout.nats_url, name="bench")
        try:
            for session_id in self._sessions:
                asked = [
                    one for one in notes if (one["session"], one["what"]) == (session_id, "turn")
                ]
                events = [
                    (_monotonic(one.time_s), pb.EventRecord.FromString(one.data).event.turn)
                    async for one in bus.replay(subjects.EVENTS, subjects.event("turn", session_id))
                ]
                _put_together(found, asked, events, self._turns)
        finally:
            await bus.aclose()


def _put_together(
    found: Answers, asked: Sequence[Note], events: Sequence[tuple[float, api.TurnEvent]], turns: int
) -> None:
    """Each question with the turn that was committed after it and the outcome of that turn."""
    found.lost += turns - len(asked)
    committed = [one for one in events if one[1].step == api.TurnEvent.STEP_COMMITTED]
    over = {one.turn: one for _, one in events if one.HasField("waterfall")}
    for note in asked:
        found.cut_off += any(note["start"] < at < note["end"] for at, _ in committed)
        number = next((one.turn for at, one in committed if at > note["end"]), None)
        steps = seconds(over[number].waterfall) if number in over else {}
        if "first" not in note or not {"handed_over", "playback_started"} <= steps.keys():
            found.lost += 1
            continue
        # Both sides saw the first frame captured, which puts egress' steps on the same clock.
        decided_at = note["captured"] - (steps["playback_started"] - steps["endpoint"])
        heard_s, decided_s = note["first"] - note["end"], decided_at - note["end"]
        found.turns.append(numbers(Turn(heard_s, decided_s, steps, {})))
        found.gaps_s += [note["gap"]] if note["gap"] > GAP_S else []


def _monotonic(unix_s: float) -> float:
    return unix_s - time.time() + time.monotonic()
