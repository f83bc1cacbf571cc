"""The recognition handlers on the in-memory bus."""

import pytest
from google.protobuf.message import DecodeError

from tests.support.memory_bus import MemoryBus
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_asr.engine import Transcription
from visavis_asr.fake import FakeTranscriber
from visavis_asr.worker import NO_SPEECH, Worker, parse
from visavis_runtime import subjects
from visavis_runtime.errors import Poison

SECOND = bytes(2 * 16_000)


def work(pcm: bytes = SECOND, *, rate_hz: int = 16_000, revision: int = 1) -> pb.TranscribeWork:
    at = pb.Address(session_id="s1", generation=1, turn=2)
    return pb.TranscribeWork(address=at, revision=revision, pcm=pcm, sample_rate_hz=rate_hz)


def worker(bus: MemoryBus, *script: Transcription) -> Worker:
    return Worker(bus, FakeTranscriber(script or [Transcription("Hello there.", 0.1)]))


async def results(bus: MemoryBus) -> list[pb.TranscribeResult]:
    stored = bus.replay(subjects.RESULTS, subjects.result("asr", "s1"))
    return [pb.TranscribeResult.FromString(one.data) async for one in stored]


async def test_the_text_is_stored_with_the_numbers_of_the_work() -> None:
    bus = MemoryBus()
    await worker(bus).handle(work(revision=3))
    (result,) = await results(bus)
    assert (result.text, result.revision, result.address.turn) == ("Hello there.", 3, 2)
    assert result.no_speech_probability == pytest.approx(0.1)
    assert result.HasField("took")
    assert not result.HasField("error")


async def test_how_sure_the_engine_is_goes_with_the_words() -> None:
    bus = MemoryBus()
    one = worker(bus, Transcription("Yes.", 0.1, 0.75), Transcription("you", 0.9, 0.75))
    for revision in (1, 2):
        await one.handle(work(revision=revision))
    assert [result.confidence for result in await results(bus)] == [0.75, 0.0]


async def test_doing_it_again_changes_nothing() -> None:
    bus = MemoryBus()
    for words in ("Hello.", "Hallo?"):
        await worker(bus, Transcription(words, 0.0)).handle(work())
    assert [result.text for result in await results(bus)] == ["Hello."]


async def test_words_where_nobody_spoke_are_dropped_and_counted() -> None:
    bus = MemoryBus()
    before = NO_SPEECH._value.get()
    script = Transcription("you", 0.61), Transcription("you", 0.6)
    one = worker(bus, *script)
    await one.handle(work(revision=1))
    await one.handle(work(revision=2))
    assert [result.text for result in await results(bus)] == ["", "you"]
    assert NO_SPEECH._value.get() == before + 1


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (work(b""), "EMPTY", "pcm"),
        (work(bytes(3)), "ODD_BYTES", "pcm"),
        (work(bytes(subjects.MAX_UTTERANCE_BYTES + 2)), "TOO_LONG", "pcm"),
        (work(rate_hz=48_000), "WRONG_RATE", "sample_rate_hz"),
        (work(rate_hz=0), "WRONG_RATE", "sample_rate_hz"),
    ],
)
async def test_bad_work_is_refused_with_the_fields_name(
    bad: pb.TranscribeWork, code: str, field: str
) -> None:
    bus = MemoryBus()
    with pytest.raises(Poison, match=rf"^{field}: ") as refused:
        await worker(bus).handle(bad)
    assert refused.value.code == code
    assert not await results(bus)


async def test_28_seconds_are_accepted() -> None:
    bus = MemoryBus()
    await worker(bus).handle(work(bytes(subjects.MAX_UTTERANCE_BYTES)))
    assert len(await results(bus)) == 1


async def test_a_failure_is_told_once_for_known_work() -> None:
    bus = MemoryBus()
    error = pb.StageError(code="EMPTY", message="pcm: 0 bytes")
    for _ in range(2):
        await worker(bus).fail(work().address, work(), error)
    (result,) = await results(bus)
    assert (result.error.code, result.revision) == ("EMPTY", 1)


async def test_failures_of_unreadable_work_do_not_hide_each_other() -> None:
    bus = MemoryBus()
    for _ in range(2):
        await worker(bus).fail(pb.Address(session_id="s1"), None, pb.StageError(code="MALFORMED"))
    assert len(await results(bus)) == 2


def test_work_without_a_session_is_not_work() -> None:
    assert parse(work().SerializeToString()) == work()
    with pytest.raises(Poison, match="session_id"):
        parse(b"")
    with pytest.raises(DecodeError):
        parse(b"\xff\xff")
