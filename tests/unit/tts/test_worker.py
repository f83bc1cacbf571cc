"""The synthesis handlers on the in-memory bus."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from tests.support.memory_bus import MemoryBus
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import subjects
from visavis_runtime.bus import Guard, Receipt
from visavis_runtime.errors import BusUnavailable, Poison
from visavis_tts import worker as module
from visavis_tts.engine import Samples
from visavis_tts.fake import FakeSynthesizer
from visavis_tts.worker import Worker, parse

TEXT = "Hello there."  # 12 characters: 720 ms of tone, and no silence around it


def work(text: str = TEXT, *, voice: str = "heart", language: str = "en-US") -> pb.SynthesizeWork:
    at = pb.Address(session_id="s1", generation=1, turn=2, epoch=1 << 32 | 5)
    return pb.SynthesizeWork(
        address=at, sentence=3, attempt=1, text=text, voice=voice, language=language
    )


async def speech(bus: MemoryBus) -> list[pb.Speech]:
    stored = bus.replay(subjects.SPEECH, subjects.speech("s1"))
    return [pb.Speech.FromString(one.data) async for one in stored]


async def results(bus: MemoryBus) -> list[pb.SynthesizeResult]:
    stored = bus.replay(subjects.RESULTS, subjects.result("tts", "s1"))
    return [pb.SynthesizeResult.FromString(one.data) async for one in stored]


async def test_a_sentence_becomes_numbered_chunks_and_an_end_mark() -> None:
    bus = MemoryBus()
    await Worker(bus, FakeSynthesizer()).handle(work())
    *pieces, last = await speech(bus)
    chunks = [piece.chunk for piece in pieces]
    assert [chunk.index for chunk in chunks] == list(range(8))
    assert [len(chunk.pcm) for chunk in chunks] == [4800] * 7 + [960]
    assert [chunk.sample_offset for chunk in chunks] == [2400 * n for n in range(8)]
    assert {chunk.sample_rate_hz for chunk in chunks} == {24_000}
    assert (last.end.chunks, last.end.samples) == (8, 17_280)
    assert last.end.HasField("took")
    assert {(piece.sentence, piece.attempt) for piece in [*pieces, last]} == {(3, 1)}
    assert {piece.address.epoch for piece in pieces} == {work().address.epoch}


async def test_an_engine_of_another_rate_is_resampled() -> None:
    bus = MemoryBus()
    await Worker(bus, FakeSynthesizer(rate_hz=22_050)).handle(work())
    last = (await speech(bus))[-1]
    assert last.end.samples == pytest.approx(17_280, abs=2)


async def test_doing_it_again_gives_the_same_samples_under_the_same_numbers() -> None:
    bus = MemoryBus()
    for _ in range(2):
        await Worker(bus, FakeSynthesizer()).handle(work())
    found = await speech(bus)
    assert sum(piece.HasField("end") for piece in found) == 1
    chunks = {piece.chunk.index: piece.chunk.pcm for piece in found if piece.HasField("chunk")}
    assert len(chunks) == 8
    assert all(p.chunk.pcm == chunks[p.chunk.index] for p in found if p.HasField("chunk"))


class TwoPieces(FakeSynthesizer):
    """Gives a first piece, then waits until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def speak(self, text: str, voice: str) -> AsyncGenerator[Samples, None]:
        yield np.full(7200, 0.5, np.float32)
        await self.go_on.wait()
        yield np.full(1200, 0.5, np.float32)


async def test_the_first_piece_does_not_wait_for_the_second() -> None:
    bus, engine = MemoryBus(), TwoPieces()
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await bus.subscribe(subjects.speech("s1"), lambda message: heard.put_nowait(message.data))
    task = asyncio.create_task(Worker(bus, engine).handle(work()))
    for _ in range(3):
        await asyncio.wait_for(heard.get(), 5)
    assert not task.done()
    engine.go_on.set()
    await asyncio.wait_for(task, 5)
    assert (await speech(bus))[-1].end.samples == 8400


async def test_silence_is_not_published() -> None:
    class Silent(FakeSynthesizer):
        async def speak(self, text: str, voice: str) -> AsyncGenerator[Samples, None]:
            yield np.zeros(24_000, np.float32)

    bus = MemoryBus()
    await Worker(bus, Silent()).handle(work())
    (only,) = await speech(bus)
    assert (only.end.chunks, only.end.samples) == (0, 0)


class NoPubAck(MemoryBus):
    """A bus whose speech stream has lost its one replica."""

    hangs = True

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
    ) -> Receipt:
        if self.hangs:
            await asyncio.Event().wait()
        raise BusUnavailable("no stream")


@pytest.mark.parametrize("hangs", [True, False])
async def test_an_end_mark_without_an_answer_does_not_hold_the_work(
    hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "END_MARK_S", 0.01)
    bus = NoPubAck()
    bus.hangs = hangs
    await asyncio.wait_for(Worker(bus, FakeSynthesizer()).handle(work()), 5)
    assert len(await speech(bus)) == 8


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (work(""), "EMPTY", "text"),
        (work(" \n"), "EMPTY", "text"),
        (work("x" * 2001), "TOO_LONG", "text"),
        (work(voice="nobody"), "UNKNOWN_VOICE", "voice"),
        (work(voice=""), "UNKNOWN_VOICE", "voice"),
        (work(language="de"), "UNSUPPORTED_LANGUAGE", "language"),
    ],
)
async def test_bad_work_is_refused_with_the_fields_name(
    bad: pb.SynthesizeWork, code: str, field: str
) -> None:
    bus = MemoryBus()
    with pytest.raises(Poison, match=rf"^{field}: ") as refused:
        await Worker(bus, FakeSynthesizer()).handle(bad)
    assert refused.value.code == code
    assert not await speech(bus)


async def test_2000_characters_and_no_language_are_accepted() -> None:
    bus = MemoryBus()
    await Worker(bus, FakeSynthesizer()).handle(work("x" * 2000, language=""))
    assert (await speech(bus))[-1].end.samples == 2000 * 1440


async def test_a_failure_is_told_once_for_known_work() -> None:
    bus = MemoryBus()
    worker = Worker(bus, FakeSynthesizer())
    error = pb.StageError(code="ENGINE_FAILED", message="RuntimeError after 3 tries")
    for _ in range(2):
        await worker.fail(work().address, work(), error)
    (result,) = await results(bus)
    assert (result.sentence, result.attempt, result.error.code) == (3, 1, "ENGINE_FAILED")
    await worker.fail(pb.Address(session_id="s1"), None, error)
    assert len(await results(bus)) == 2


def test_work_without_a_session_is_not_work() -> None:
    assert parse(work().SerializeToString()) == work()
    with pytest.raises(Poison, match="session_id"):
        parse(b"")
    with pytest.raises(DecodeError):
        parse(b"\xff\xff")
