"""One answer: checked, taken up where another worker left it, generated, published by sentence."""

import asyncio
import time
from contextlib import aclosing

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_llm.answer import LENGTH, Answer
from visavis_llm.engine import ChatModel, ModelError, Prompt
from visavis_llm.publisher import STAGE, AnswerPublisher, SupersededError, publish_error
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import Poison

__all__ = ["STAGE", "Worker", "parse"]

logger = log.get(__name__)

RETRY_FOR_S = 2.0
"""No new try is begun later than this: the person should hear the apology soon."""
FIRST_PAUSE_S = 0.2
DEFAULT_OUTPUT_TOKENS = 200
ROLES = frozenset(("system", "user", "assistant"))


class Worker:
    """The handlers of the work loop. `instance` is unique per process."""

    def __init__(self, bus: Bus, model: ChatModel, instance: str) -> None:
        self._bus, self._model, self._instance = bus, model, instance

    async def handle(self, work: pb.GenerateWork) -> None:
        """Publish the answer sentence by sentence; returns once all is stored.

        Raises Poison, BusError.
        """
        check(work)
        publisher = AnswerPublisher(self._bus, work, self._instance)
        try:
            if await publisher.resume():
                answering = self._recite if work.verbatim else self._generate
                await answering(work, publisher)
        except SupersededError:
            logger.info("llm.superseded", sentences=len(publisher.sentences))

    async def fail(
        self, address: pb.Address, work: pb.GenerateWork | None, error: pb.StageError
    ) -> None:
        """Publish why there is no answer, or no more of it."""
        await publish_error(self._bus, address, self._instance, error)

    async def _recite(self, work: pb.GenerateWork, publisher: AnswerPublisher) -> None:
        """Publish a given text by sentence; those that exist are its beginning."""
        answer = Answer()
        sentences = [*answer.feed(work.verbatim), *answer.finish()]
        if not sentences:
            raise Poison("EMPTY_ANSWER", "verbatim: nothing in it can be spoken")
        for sentence in sentences[len(publisher.sentences) :]:
            await publisher.add(sentence)
        await publisher.finish("stop")

    async def _generate(self, work: pb.GenerateWork, publisher: AnswerPublisher) -> None:
        """Try until the answer is complete. Raises Poison with the model's code after some time."""
        last_start = time.monotonic() + RETRY_FOR_S
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._attempt(work, publisher)
                return
            except ModelError as error:
                if not error.can_retry or time.monotonic() + pause_s > last_start:
                    raise Poison(error.code, str(error)) from error
                logger.warning("llm.model_failed", code=error.code, reason=str(error))
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def _attempt(self, work: pb.GenerateWork, publisher: AnswerPublisher) -> None:
        """Ask the model once, for what follows the sentences that exist."""
        if publisher.sentences and not self._model.can_continue:
            await publisher.finish("cannot_continue")
            return
        answer = Answer(publisher.sentences)
        async with aclosing(self._model.stream(prompt(work, publisher.sentences))) as deltas:
            async for delta in deltas:
                publisher.token()
                for sentence in answer.feed(delta.text, delta.finish_reason):
                    await publisher.add(sentence)
                if answer.finish_reason == LENGTH:
                    break
        for sentence in answer.finish():
            await publisher.add(sentence)
        if not publisher.sentences:
            raise Poison("EMPTY_ANSWER", "the model answered without a word")
        await publisher.finish(answer.finish_reason or "stop")


def parse(data: bytes) -> pb.GenerateWork:
    """The work in a message. Raises DecodeError; Poison if it does not say whose it is."""
    work = pb.GenerateWork.FromString(data)
    if not work.address.session_id:
        raise Poison("MALFORMED", "address.session_id: missing")
    return work


def check(work: pb.GenerateWork) -> None:
    """Raise Poison, with the field's name, for what no model should see."""
    if work.ByteSize() > subjects.MAX_LLM_WORK_BYTES:
        limit = subjects.MAX_LLM_WORK_BYTES
        raise Poison("TOO_LONG", f"messages: {work.ByteSize()} bytes of work, at most {limit}")
    if not work.messages and not work.verbatim:
        raise Poison("EMPTY", "messages: nothing to answer")
    for number, message in enumerate(work.messages):
        if message.role not in ROLES:
            raise Poison("UNKNOWN_ROLE", f"messages[{number}].role: not one of {sorted(ROLES)}")


def prompt(work: pb.GenerateWork, sentences: list[str]) -> Prompt:
    """What the model is asked; `sentences` of the answer exist already."""
    at = work.address
    return Prompt(
        messages=[(message.role, message.content) for message in work.messages],
        prefix=" ".join(sentences),
        temperature=work.temperature,
        max_output_tokens=work.max_output_tokens or DEFAULT_OUTPUT_TOKENS,
        headers={
            "X-Request-Id": f"{at.session_id}/{at.epoch}",
            "X-Visavis-Session": at.session_id,
            "X-Visavis-Turn": str(at.turn),
            "X-Visavis-Epoch": str(at.epoch),
            "X-Visavis-Speculative": str(work.speculative).lower(),
        },
    )
