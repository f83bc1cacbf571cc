"""Partial transcripts: shown when nobody waits for it, and never at the cost of a final one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import until
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_asr.ages import Ages
from visavis_asr.engine import Transcription
from visavis_asr.fake import FakeTranscriber
from visavis_asr.worker import MAX_PARTIAL_AGE_S, PARTIALS, STAGE, Worker, parse
from visavis_runtime import subjects
from visavis_runtime.errors import Poison
from visavis_runtime.stage import Stage

SID = "s1"


class Gated(FakeTranscriber):
    """Holds every call until its gate opens; notes what was begun."""

    def __init__(self) -> None:
        super().__init__([Transcription("Hello", 0.1, 0.5)])
        self.gates = {draft: asyncio.Event() for draft in (True, False)}
        self.begun: list[bool] = []
        self.error: Exception | None = None

    async def transcribe(self, pcm: bytes, language: str, *, draft: bool = False) -> Transcription:
        self.begun.append(draft)
        await self.gates[draft].wait()
        if self.error and draft:
            raise self.error
        return await super().transcribe(pcm, language, draft=draft)


@dataclass
class Desk:
    """One worker at a queue."""

    bus: MemoryBus
    engine: Gated = field(default_factory=Gated)
    shown: list[pb.PartialTranscript] = field(default_factory=list)
    taken: list[pb.TranscribeWork] = field(default_factory=list)

    @asynccontextmanager
    async def running(self, slots: int = 1) -> AsyncIterator[None]:
        worker, stopping = Worker(self.bus, self.engine), asyncio.Event()
        listening = await self.bus.subscribe(
            subjects.partial_transcript(SID),
            lambda message: self.shown.append(pb.PartialTranscript.FromString(message.data)),
        )
        stage = Stage(STAGE, self.bus, parse, slots=slots)
        task = asyncio.create_task(stage.run(worker.handle, worker.fail, stopping, worker.wanted))
        try:
            yield
        finally:
            stopping.set()
            for gate in self.engine.gates.values():
                gate.set()
            await asyncio.wait_for(task, 5)
            worker.close()
            await listening.aclose()

    async def give(self, revision: int, *, partial: bool, pcm: bytes = bytes(320)) -> None:
        at = pb.Address(session_id=SID, generation=1, turn=2)
        work = pb.TranscribeWork(
            address=at, revision=revision, pcm=pcm, sample_rate_hz=16_000, partial=partial
        )
        await self.bus.store(subjects.work(STAGE, SID), work.SerializeToString())

    def kept(self, stream: str) -> list[bytes]:
        """What a stream still holds of the session."""
        found = self.bus.server.streams[stream].select(">", self.bus.server.clock())
        return [one.data for one in found]

    def results(self) -> list[pb.TranscribeResult]:
        return [pb.TranscribeResult.FromString(one) for one in self.kept(subjects.RESULTS)]


@pytest.fixture
def desk() -> Desk:
    server = MemoryServer()
    server.longest_fetch_s = 0.1
    return Desk(server.connect())


def ends(outcome: str) -> float:
    return float(PARTIALS.labels(outcome)._value.get())


async def test_an_idle_worker_shows_the_words_and_stores_nothing(desk: Desk) -> None:
    async with desk.running():
        await desk.give(3, partial=True)
        await until(lambda: desk.engine.begun, "begun")
        await until(lambda: not desk.kept(subjects.WORK), "the slot is free while it is worked on")
        assert not desk.shown
        desk.engine.gates[True].set()
        await until(lambda: desk.shown, "shown")
    (part,) = desk.shown
    assert (part.revision, part.text, part.address.turn) == (3, "Hello", 2)
    assert desk.engine.begun == [True]
    assert not desk.results()


async def test_a_final_one_starts_beside_it_at_once_and_its_words_are_dropped(desk: Desk) -> None:
    before = ends("overtaken")
    async with desk.running():
        await desk.give(1, partial=True)
        await until(lambda: desk.engine.begun == [True], "the partial one")
        await desk.give(2, partial=False)
        await until(lambda: desk.engine.begun == [True, False], "the final one", within_s=0.5)
        desk.engine.gates[False].set()
        await until(lambda: desk.results(), "the final text, before the partial one is done")
        desk.engine.gates[True].set()
        await until(lambda: ends("overtaken") == before + 1, "the partial one is over")
    assert [result.revision for result in desk.results()] == [2]
    assert not desk.shown


async def test_while_something_runs_or_waits_it_is_gone_unworked(desk: Desk) -> None:
    before = ends("busy")
    async with desk.running(slots=2):
        await desk.give(1, partial=False)
        await until(lambda: desk.engine.begun == [False], "the final one")
        await desk.give(2, partial=True)
        await until(lambda: ends("busy") == before + 1, "beside a final one")
        desk.engine.gates[False].set()
        await until(lambda: not desk.kept(subjects.WORK), "all over")
    assert desk.engine.begun == [False]
    for revision, partial in ((3, True), (4, False)):  # the final one waits behind it
        await desk.give(revision, partial=partial)
    async with desk.running():
        await until(lambda: len(desk.results()) == 2, "the final one")
    assert desk.engine.begun == [False, False]
    assert ends("busy") == before + 2


async def test_one_at_a_time(desk: Desk) -> None:
    before = ends("busy")
    async with desk.running():
        await desk.give(1, partial=True)
        await until(lambda: desk.engine.begun == [True], "the first")
        await desk.give(2, partial=True)
        await until(lambda: ends("busy") == before + 1, "the second is not begun")
        desk.engine.gates[True].set()
        await until(lambda: desk.shown, "the first is shown")
        await desk.give(3, partial=True)
        await until(lambda: len(desk.shown) == 2, "the third")
    assert [part.revision for part in desk.shown] == [1, 3]


async def test_an_old_one_is_gone_unworked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ends("late")
    monkeypatch.setattr(Ages, "of", lambda *_: MAX_PARTIAL_AGE_S + 0.1)
    async with desk.running():
        await desk.give(1, partial=True)
        await until(lambda: ends("late") == before + 1, "dropped")
    assert not desk.engine.begun


@pytest.mark.parametrize(
    ("error", "pcm"), [(RuntimeError("engine"), b"ab"), (Poison("BAD", "x"), b"ab"), (None, b"")]
)
async def test_a_failure_is_counted_and_nothing_else(
    desk: Desk, error: Exception | None, pcm: bytes
) -> None:
    before = ends("failed")
    desk.engine.error = error
    desk.engine.gates[True].set()
    async with desk.running():
        await desk.give(1, partial=True, pcm=pcm)
        await until(lambda: ends("failed") == before + 1, "failed")
        await until(lambda: not desk.kept(subjects.WORK), "gone")
        desk.engine.error = None
        await desk.give(2, partial=True)
        await until(lambda: desk.shown, "the next one is worked on")
    assert not desk.results()
    assert not desk.kept(subjects.DLQ)


def test_age_is_told_without_comparing_clocks() -> None:
    now = [1000.0]
    ages = Ages(lambda: now[0])
    assert ages.of(5_000_000.0) == 0  # whatever the server's clock says
    now[0] += 2
    assert ages.of(5_000_002.0) == 0
    assert ages.of(5_000_001.0) == pytest.approx(1.0, rel=0.02)
    now[0] += 1
    assert ages.of(5_000_003.0) == pytest.approx(0.0, abs=0.02)


def test_the_servers_clock_may_be_set() -> None:
    now = [1000.0]
    ages = Ages(lambda: now[0])
    ages.of(1000.0)
    ages.of(1000.0 + 60)  # set forward: what comes is the freshest
    assert ages.of(1000.0 + 60) == 0
    assert ages.of(1000.0) > 50  # and back again: for a while everything seems old
    for _ in range(500):
        ages.of(1000.0)
    assert ages.of(1000.0) < MAX_PARTIAL_AGE_S
