"""One sentence: checked, spoken, published in chunks of 100 ms and closed by an end mark."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import BusUnavailable, Poison
from visavis_runtime.subjects import MAX_TEXT_CHARACTERS
from visavis_tts import sound
from visavis_tts.engine import Synthesizer

logger = log.get(__name__)

STAGE = "tts"
END_MARK_S = 2.0
"""How long an end mark is waited for: its stream has one replica, and egress mends gaps."""


class Worker:
    """The handlers of the work loop."""

    def __init__(self, bus: Bus, engine: Synthesizer) -> None:
        self._bus, self._engine = bus, engine

    async def handle(self, work: pb.SynthesizeWork) -> None:
        """Publish the sound of one sentence; returns once its end mark is stored, or 2 s later.

        Raises Poison, BusError.
        """
        self._check(work)
        started = time.monotonic()
        end, lost = pb.SpeechEnd(), 0
        async for pcm in self._pcm(work):
            chunk = pb.SpeechChunk(
                index=end.chunks,
                sample_offset=end.samples,
                sample_rate_hz=subjects.SPEECH_RATE_HZ,
                pcm=pcm,
            )
            lost += not await self._publish(work, chunk)
            end.chunks += 1
            end.samples += len(pcm) // subjects.BYTES_PER_SAMPLE
        if lost:
            logger.warning("tts.chunks_lost", sentence=work.sentence, chunks=lost)
        end.took.FromMicroseconds(int((time.monotonic() - started) * 1e6))
        await self._close(work, end)

    async def fail(
        self, address: pb.Address, work: pb.SynthesizeWork | None, error: pb.StageError
    ) -> None:
        """Publish why there is no sound."""
        result = pb.SynthesizeResult(address=address, error=error)
        if work:
            result.sentence, result.attempt = work.sentence, work.attempt
        await self._bus.store(
            subjects.result(STAGE, address.session_id),
            result.SerializeToString(),
            # What could not be read has no numbers: two of those must not swallow each other.
            message_id=_message_id(work) if work else "",
        )

    async def _pcm(self, work: pb.SynthesizeWork) -> AsyncIterator[bytes]:
        """The sentence at 24 kHz in chunks of 100 ms, each as soon as it is there."""
        rate_hz, chunker = self._engine.rate_hz, sound.Chunker()
        async with aclosing(self._engine.speak(work.text, work.voice)) as pieces:
            async for piece in pieces:
                samples = sound.resample(sound.trim(piece, rate_hz), rate_hz)
                for pcm in chunker.feed(sound.to_pcm(samples)):
                    yield pcm
        for pcm in chunker.flush():
            yield pcm

    async def _publish(self, work: pb.SynthesizeWork, chunk: pb.SpeechChunk) -> bool:
        speech = _speech(work)
        speech.chunk.CopyFrom(chunk)
        subject = subjects.speech(work.address.session_id)
        return await self._bus.publish(subject, speech.SerializeToString())

    async def _close(self, work: pb.SynthesizeWork, end: pb.SpeechEnd) -> None:
        speech = _speech(work)
        speech.end.CopyFrom(end)
        subject = subjects.speech(work.address.session_id)
        mark = self._bus.store(subject, speech.SerializeToString(), message_id=_message_id(work))
        try:
            async with asyncio.timeout(END_MARK_S):
                await mark
        except (TimeoutError, BusUnavailable):
            logger.warning("tts.end_mark_unconfirmed", sentence=work.sentence)

    def _check(self, work: pb.SynthesizeWork) -> None:
        """Raise Poison, with the field's name, for what the engine should not see."""
        if not work.text.strip():
            raise Poison("EMPTY", "text: nothing to say")
        if len(work.text) > MAX_TEXT_CHARACTERS:
            length = len(work.text)
            raise Poison("TOO_LONG", f"text: {length} characters, at most {MAX_TEXT_CHARACTERS}")
        if work.voice not in self._engine.voices:
            raise Poison("UNKNOWN_VOICE", f"voice: not one of {sorted(self._engine.voices)}")
        if work.language and work.language.split("-")[0].lower() not in self._engine.languages:
            known = sorted(self._engine.languages)
            raise Poison("UNSUPPORTED_LANGUAGE", f"language: not one of {known}")


def parse(data: bytes) -> pb.SynthesizeWork:
    """The work in a message. Raises DecodeError; Poison if it does not say whose it is."""
    work = pb.SynthesizeWork.FromString(data)
    if not work.address.session_id:
        raise Poison("MALFORMED", "address.session_id: missing")
    return work


def _message_id(work: pb.SynthesizeWork) -> str:
    at = work.address
    return subjects.tts_id(at.session_id, at.epoch, work.sentence, work.attempt)


def _speech(work: pb.SynthesizeWork) -> pb.Speech:
    return pb.Speech(address=work.address, sentence=work.sentence, attempt=work.attempt)
