"""One utterance: checked, transcribed, its result stored; or a draft, shown and forgotten."""

import asyncio
import time

from prometheus_client import Counter

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_asr.ages import Ages
from visavis_asr.engine import Transcriber, Transcription
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, WorkItem
from visavis_runtime.errors import Poison, VisavisError

logger = log.get(__name__)

STAGE = "asr"
MAX_NO_SPEECH_PROBABILITY = 0.6
"""Above it the words are made up: non-speech gave 0.91 to 0.99, speech at most 0.21 (measured)."""

MAX_PARTIAL_AGE_S = 0.7
"""An older snapshot would show words that the next one replaces at once."""

PARTIALS = Counter("vv_asr_partials_total", "Partial transcripts by their end", ["outcome"])
NO_SPEECH = Counter("vv_asr_no_speech_total", "Utterances without speech; their text was dropped")


class Worker:
    """The handlers of the work loop."""

    def __init__(self, bus: Bus, engine: Transcriber) -> None:
        self._bus, self._engine = bus, engine
        self._ages = Ages()
        self._begun = self._ended = 0
        self._drafting: asyncio.Task[None] | None = None

    def wanted(self, work: pb.TranscribeWork, item: WorkItem) -> bool:
        """True for all but a partial one that is late, or for which somebody else would wait."""
        age_s = self._ages.of(item.time_s)
        if not work.partial:
            return True
        is_idle = self._begun == self._ended and not self._drafting and item.waiting == 0
        if is_idle and age_s <= MAX_PARTIAL_AGE_S:
            return True
        PARTIALS.labels("late" if is_idle else "busy").inc()
        return False

    async def handle(self, work: pb.TranscribeWork) -> None:
        """Publish the text of one snapshot; returns once it is stored. Raises Poison, BusError.

        A partial one is only begun: it holds no slot, and what else comes is done beside it.
        """
        if work.partial:
            self._drafting = asyncio.create_task(self._draft(work))
            return
        self._begun += 1
        try:
            await self._transcribe(work)
        finally:
            self._ended += 1

    def close(self) -> None:
        """Drop the draft that is in progress."""
        if self._drafting:
            self._drafting.cancel()

    async def _draft(self, work: pb.TranscribeWork) -> None:
        begun = self._begun
        try:
            check(work)
            found = await self._engine.transcribe(work.pcm, work.language, draft=True)
            text = found.text if is_speech(found) else ""
            is_overtaken = self._begun > begun  # its sound is part of what is being recognised now
            if text and not is_overtaken:
                part = pb.PartialTranscript(address=work.address, revision=work.revision, text=text)
                subject = subjects.partial_transcript(work.address.session_id)
                await self._bus.publish(subject, part.SerializeToString())
            PARTIALS.labels("overtaken" if is_overtaken else "shown" if text else "empty").inc()
        except Exception as error:  # the outermost loop of a draft: an engine may raise anything
            reason = str(error) if isinstance(error, VisavisError) else type(error).__name__
            logger.warning("asr.partial_failed", revision=work.revision, reason=reason)
            PARTIALS.labels("failed").inc()
        finally:
            self._drafting = None

    async def _transcribe(self, work: pb.TranscribeWork) -> None:
        check(work)
        started = time.monotonic()
        found = await self._engine.transcribe(work.pcm, work.language)
        result = pb.TranscribeResult(
            address=work.address,
            revision=work.revision,
            text=speech_in(found, work.revision),
            no_speech_probability=found.no_speech_probability,
        )
        result.confidence = found.confidence if result.text else 0.0
        result.took.FromMicroseconds(int((time.monotonic() - started) * 1e6))
        await self._store(result)

    async def fail(
        self, address: pb.Address, work: pb.TranscribeWork | None, error: pb.StageError
    ) -> None:
        """Publish why there is no text."""
        revision = work.revision if work else 0
        result = pb.TranscribeResult(address=address, revision=revision, error=error)
        await self._store(result, is_known=work is not None)

    async def _store(self, result: pb.TranscribeResult, *, is_known: bool = True) -> None:
        at = result.address
        # The same id for a text and an error: one answer a revision, whoever gives it.
        # What could not be read has no numbers, and two of those must not swallow each other.
        message_id = subjects.asr_id(at.session_id, at.generation, at.turn, result.revision)
        await self._bus.store(
            subjects.result(STAGE, at.session_id),
            result.SerializeToString(),
            message_id=message_id if is_known else "",
        )


def parse(data: bytes) -> pb.TranscribeWork:
    """The work in a message. Raises DecodeError; Poison if it does not say whose it is."""
    work = pb.TranscribeWork.FromString(data)
    if not work.address.session_id:
        raise Poison("MALFORMED", "address.session_id: missing")
    return work


def check(work: pb.TranscribeWork) -> None:
    """Raise Poison, with the field's name, for what no engine should see."""
    if work.sample_rate_hz != subjects.ASR_RATE_HZ:
        raise Poison("WRONG_RATE", f"sample_rate_hz: {work.sample_rate_hz}, not 16000")
    if not work.pcm:
        raise Poison("EMPTY", "pcm: 0 bytes")
    if len(work.pcm) % subjects.BYTES_PER_SAMPLE:
        raise Poison("ODD_BYTES", f"pcm: {len(work.pcm)} bytes are not whole samples")
    if len(work.pcm) > subjects.MAX_UTTERANCE_BYTES:
        raise Poison("TOO_LONG", f"pcm: {len(work.pcm)} bytes, at most 28 s")


def is_speech(found: Transcription) -> bool:
    """False where nobody spoke."""
    return found.no_speech_probability <= MAX_NO_SPEECH_PROBABILITY


def speech_in(found: Transcription, revision: int) -> str:
    """The words, or nothing where nobody spoke: then the model made them up."""
    if is_speech(found):
        return found.text
    NO_SPEECH.inc()
    probability = round(found.no_speech_probability, 3)
    logger.info("asr.no_speech", revision=revision, probability=probability)
    return ""
