"""The synthesis worker as a process, on a real bus, with the real voice where it matters."""

import signal
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
import soxr

from tests.support.words import word_error_rate
from tests.support.workers import Workplace, end_status, until_settled, workplace
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_asr.whisper import WhisperTranscriber
from visavis_runtime import subjects

FAKE = {"ENGINE": "fake"}
SENTENCES = (
    "We open at nine in the morning and close at six in the evening.",
    "Of course,",
    "you can return it within thirty days. Please bring the receipt.",
)


@pytest.fixture
async def place() -> AsyncIterator[Workplace]:
    async with workplace() as one:
        yield one


def work(
    place: Workplace, text: str = "Hello there.", *, sentence: int = 0, voice: str = "heart"
) -> pb.SynthesizeWork:
    return pb.SynthesizeWork(
        address=place.address, sentence=sentence, text=text, voice=voice, language="en"
    )


async def speech(place: Workplace, ends: int = 1) -> list[pb.Speech]:
    """What lies on the session's speech subject once it holds so many end marks."""
    return await place.until_stored(
        pb.Speech,
        subjects.speech(place.session),
        lambda found: sum(one.HasField("end") for one in found) >= ends,
        stream=subjects.SPEECH,
        within_s=15,
    )


def joined(found: list[pb.Speech], sentence: int = 0) -> bytes:
    """A sentence's sound, by its chunks' numbers; repeats must be equal, gaps are not allowed."""
    chunks: dict[int, bytes] = {}
    for one in found:
        if one.sentence == sentence and one.HasField("chunk"):
            assert chunks.setdefault(one.chunk.index, one.chunk.pcm) == one.chunk.pcm
    (end,) = {
        (one.end.chunks, one.end.samples)
        for one in found
        if one.sentence == sentence and one.HasField("end")
    }
    pcm = b"".join(chunks[index] for index in range(end[0]))
    assert len(pcm) == 2 * end[1]
    return pcm


async def errors(place: Workplace, count: int) -> list[pb.SynthesizeResult]:
    subject = subjects.result("tts", place.session)
    return await place.until_stored(pb.SynthesizeResult, subject, lambda found: len(found) >= count)


@pytest.mark.audio
async def test_sentences_can_be_understood_and_begin_at_once(place: Workplace) -> None:
    await place.start("tts")
    for number, text in enumerate(SENTENCES):
        await place.give("tts", work(place, text, sentence=number))
    found = await speech(place, len(SENTENCES))
    listener = WhisperTranscriber(threads=1, window_s=8.0)
    await listener.warm()
    for number, text in enumerate(SENTENCES):
        samples = np.frombuffer(joined(found, number), "<i2").astype(np.float32)
        loud = np.nonzero(np.abs(samples) > 0.01 * 32768)[0]
        assert 0 < loud[0] / 24_000 < 0.08
        assert (len(samples) - loud[-1]) / 24_000 < 0.35
        assert np.abs(samples).max() < 32767
        pcm = soxr.resample(samples, 24_000, 16_000).astype("<i2").tobytes()
        heard = (await listener.transcribe(pcm, "en")).text
        assert word_error_rate(text, heard) <= 0.2, heard
    listener.close()
    for one in found:
        if one.HasField("end"):
            print(f"{one.end.samples / 24000:.2f} s took {one.end.took.ToMilliseconds()} ms")


async def test_chunks_are_numbered_and_closed(place: Workplace) -> None:
    await place.start("tts", **FAKE)
    await place.give("tts", work(place, "x" * 10))
    *chunks, end = await speech(place)
    assert [one.chunk.index for one in chunks] == list(range(6))
    assert [one.chunk.sample_offset for one in chunks] == [2400 * n for n in range(6)]
    assert {len(one.chunk.pcm) for one in chunks} == {4800}
    assert (end.end.chunks, end.end.samples) == (6, 14_400)


@pytest.mark.audio
async def test_a_worker_that_is_told_to_end_finishes_its_sentence_first(place: Workplace) -> None:
    worker = await place.start("tts")
    await place.give("tts", work(place, " ".join(SENTENCES) * 6))
    assert await place.who_works() is worker
    assert await end_status(worker) == 0, worker.tail()
    assert len(joined(await speech(place))) > 24_000 * 2 * 20


@pytest.mark.audio
async def test_a_frozen_workers_late_sound_changes_nothing(place: Workplace) -> None:
    """Doing a sentence again gives the same samples, so repeats are told by their numbers."""
    frozen = await place.start("tts")
    text = " ".join(SENTENCES) * 6
    await place.give("tts", work(place, text))
    await place.until_stored(
        pb.Speech, subjects.speech(place.session), lambda found: found, stream=subjects.SPEECH
    )
    frozen.signal(signal.SIGSTOP)
    await place.start("tts")
    whole = joined(await speech(place))
    frozen.signal(signal.SIGCONT)
    await until_settled(frozen)
    found = await speech(place)
    assert joined(found) == whole
    assert len(found) > found[-1].end.chunks + 1


async def test_a_killed_workers_sentence_is_spoken_by_another(place: Workplace) -> None:
    for _ in range(2):
        await place.start("tts", **FAKE, FAKE_DELAY_S="0.5")
    await place.give("tts", work(place))
    killed = await place.who_works()
    killed.kill()
    assert len(joined(await speech(place))) == 12 * 1440 * 2
    (other,) = [worker for worker in place.workers if worker is not killed]
    await until_settled(other)
    found = await speech(place)
    assert sum(one.HasField("end") for one in found) == 1
    assert len(found) == 8 + 1


async def test_two_workers_speak_the_sentences_of_one_answer_at_the_same_time(
    place: Workplace,
) -> None:
    took_s = 1.0
    for _ in range(2):
        await place.start("tts", **FAKE, FAKE_DELAY_S=str(took_s))
    began = time.monotonic()
    for number in range(4):
        await place.give("tts", work(place, "x" * 10, sentence=number))
    found = await speech(place, 4)
    assert 2 * took_s < time.monotonic() - began < 3 * took_s
    assert {len(joined(found, number)) for number in range(4)} == {10 * 1440 * 2}
    for one in place.workers:
        await until_settled(one, 2)
    ends = [one.end for one in found if one.HasField("end")]
    assert all(took_s * 1000 <= end.took.ToMilliseconds() < 1500 for end in ends)


async def test_what_cannot_be_spoken_is_told_and_the_next_sentence_is_spoken(
    place: Workplace,
) -> None:
    await place.start("tts", **FAKE)
    await place.give("tts", b"\xff not a message")
    await place.give("tts", work(place, sentence=1, voice="nobody"))
    await place.give("tts", work(place, "  ", sentence=2))
    await place.give("tts", work(place, "x" * 100_000, sentence=3))
    await place.give("tts", work(place))
    found = await errors(place, 4)
    assert [(one.sentence, one.error.code) for one in found] == [
        (0, "MALFORMED"),
        (1, "UNKNOWN_VOICE"),
        (2, "EMPTY"),
        (3, "TOO_LONG"),
    ]
    assert found[1].error.message.startswith("voice: ")
    assert joined(await speech(place))
    assert (await place.dead_letters("tts"))[0].error.code == "TOO_LONG"
