"""Answers how likely a person has finished, beside the queue of work: worthless when late."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from google.protobuf.message import DecodeError
from prometheus_client import Histogram

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_llm.engine import SCORES_UNSUPPORTED, ChatModel, ModelError
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, Message

logger = log.get(__name__)

QUEUE = "llm"
WARM_TRIES = 3
UNSUPPORTED_FOR_S = 60.0
"""A server that could not score is asked again after this long: it may be another one by then."""
SCORE_SECONDS = Histogram(
    "vv_score_seconds",
    "Answers whether a person has finished, by outcome: scored, overloaded or an error's code",
    ["outcome"],
    buckets=(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)


class Scorer:
    """Asks the model about at most `slots` texts at once and turns more away."""

    def __init__(self, model: ChatModel, slots: int) -> None:
        self._model, self._slots = model, slots
        self._running = 0
        self._unsupported_until = 0.0
        self._has_told = False

    @asynccontextmanager
    async def serving(self, bus: Bus) -> AsyncIterator[None]:
        """Answer `vv.score.*` with the other workers, each request by one. 0 slots: do not."""
        if not self._slots:
            yield
            return
        subscription = await bus.serve(subjects.score("*"), self.answer, queue=QUEUE)
        warming = asyncio.create_task(self._warm(), name="warming the scorer")
        try:
            yield
        finally:
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
            await subscription.aclose()

    async def _warm(self) -> None:
        """Have the server read what stands before each question: the first time takes 1 to 2 s.

        Each try that is late leaves a part of it read.
        """
        for _ in range(WARM_TRIES):
            with suppress(ModelError):
                await self._model.end_probability("yes", "")
                return

    async def answer(self, message: Message) -> bytes:
        """A ScoreReply to a ScoreRequest."""
        started = time.monotonic()
        try:
            reply = pb.ScoreReply(probability=await self._score(message.data))
        except ModelError as error:
            self._note(error)
            reply = pb.ScoreReply(error=pb.StageError(code=error.code, message=str(error)))
        outcome = reply.error.code.lower() or "scored"
        SCORE_SECONDS.labels(outcome).observe(time.monotonic() - started)
        return reply.SerializeToString()

    async def _score(self, data: bytes) -> float:
        try:
            request = pb.ScoreRequest.FromString(data)
        except DecodeError as error:
            raise ModelError("MALFORMED", "not a ScoreRequest") from error
        if not request.text.strip():
            raise ModelError("EMPTY", "text: missing")
        if time.monotonic() < self._unsupported_until:
            raise ModelError(SCORES_UNSUPPORTED, "the model server tells no probabilities")
        if self._running >= self._slots:
            raise ModelError("OVERLOADED", f"{self._running} scores in progress")
        self._running += 1
        try:
            return await self._model.end_probability(request.text, request.before)
        finally:
            self._running -= 1

    def _note(self, error: ModelError) -> None:
        if error.code != SCORES_UNSUPPORTED:
            return
        if time.monotonic() >= self._unsupported_until:
            self._unsupported_until = time.monotonic() + UNSUPPORTED_FOR_S
        if not self._has_told:
            self._has_told = True
            logger.warning("llm.scores_unsupported", reason=str(error))
