"""What a worker writes about one answer: its cumulative results, and the work for the synthesis."""

import time

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import subjects
from visavis_runtime.bus import Bus

STAGE, NEXT_STAGE = "llm", "tts"
END, ERROR = "end", "error"


class SupersededError(Exception):
    """Another worker is on the same answer; this one must stop."""


class AnswerPublisher:
    """One answer in the making. Order of every sentence: result, its PubAck, then synthesis work.

    Every id is made from the sentence's number, so that doing it again changes nothing.
    """

    def __init__(self, bus: Bus, work: pb.GenerateWork, instance: str) -> None:
        self._bus, self._work, self._instance = bus, work, instance
        self._started = time.monotonic()
        self._first_token_s: float | None = None
        self.sentences = list(work.prefix)

    async def resume(self) -> bool:
        """Take over what another worker did; False if nothing is left to do.

        Its sentences go to the synthesis again: it may have died between result and work.
        """
        last = await last_result(self._bus, self._work.address.session_id)
        if last is None or last.address.epoch < self._work.address.epoch:
            return True
        if last.address.epoch > self._work.address.epoch:
            return False
        self.sentences = list(last.sentences)
        for number in range(len(self._work.prefix), len(self.sentences)):
            await self._ask_for_sound(number)
        return not (last.complete or last.HasField("error"))

    def token(self) -> None:
        """Note that a token came."""
        if self._first_token_s is None:
            self._first_token_s = self._took_s()

    async def add(self, sentence: str) -> None:
        """Publish one more sentence. Raises SupersededError, BusError."""
        self.sentences.append(sentence)
        number = len(self.sentences) - 1
        await self._store(self._result(), number)
        await self._ask_for_sound(number)

    async def finish(self, reason: str) -> None:
        """Publish that the answer is complete. Raises SupersededError, BusError."""
        result = self._result()
        result.complete, result.finish_reason = True, reason
        await self._store(result, END)

    def _result(self) -> pb.GenerateResult:
        result = pb.GenerateResult(
            address=self._work.address, instance=self._instance, sentences=self.sentences
        )
        if self._first_token_s is not None:
            result.first_token.FromMicroseconds(int(self._first_token_s * 1e6))
        result.took.FromMicroseconds(int(self._took_s() * 1e6))
        return result

    async def _store(self, result: pb.GenerateResult, part: int | str) -> None:
        at = result.address
        receipt = await self._bus.store(
            subjects.result(STAGE, at.session_id),
            result.SerializeToString(),
            message_id=subjects.llm_id(at.session_id, at.epoch, part),
        )
        if not receipt.duplicate:
            return
        # Our own write whose receipt was lost, or another worker's.
        last = await last_result(self._bus, at.session_id)
        if last is None or last.instance != self._instance or last.address.epoch != at.epoch:
            raise SupersededError

    async def _ask_for_sound(self, number: int) -> None:
        if self._work.speculative and number >= subjects.SPECULATIVE_SENTENCES:
            return  # asked for by whoever commits the turn
        at = self._work.address
        work = pb.SynthesizeWork(
            address=at,
            sentence=number,
            text=self.sentences[number],
            voice=self._work.voice,
            language=self._work.language,
        )
        await self._bus.store(
            subjects.work(NEXT_STAGE, at.session_id),
            work.SerializeToString(),
            message_id=subjects.tts_id(at.session_id, at.epoch, number, 0),
        )

    def _took_s(self) -> float:
        return time.monotonic() - self._started


async def publish_error(bus: Bus, address: pb.Address, instance: str, error: pb.StageError) -> None:
    """Store why an answer failed, with the sentences that it has: only the last result counts."""
    result = pb.GenerateResult(address=address, instance=instance, error=error)
    last = await last_result(bus, address.session_id)
    if last and last.address.epoch == address.epoch:
        result.sentences.extend(last.sentences)
    message_id = subjects.llm_id(address.session_id, address.epoch, ERROR)
    await bus.store(
        subjects.result(STAGE, address.session_id),
        result.SerializeToString(),
        # What could not be read has no epoch, and two of those must not swallow each other.
        message_id=message_id if address.epoch else "",
    )


async def last_result(bus: Bus, session_id: str) -> pb.GenerateResult | None:
    """The newest result of a session's answers. Raises BusError."""
    stored = await bus.last(subjects.RESULTS, subjects.result(STAGE, session_id))
    return pb.GenerateResult.FromString(stored.data) if stored else None
