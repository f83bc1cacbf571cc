"""The question about the words: what is asked, and that no answer is an answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.support.memory_bus import MemoryBus
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_egress.conversation.config import SCORE_TIMEOUT_S
from visavis_egress.text_scorer import BusTextScorer
from visavis_runtime import subjects
from visavis_runtime.bus import Message

Answer = Callable[[Message], Awaitable[bytes]]


async def _score(bus: MemoryBus, text: str = "What time is it?") -> float | None:
    return await BusTextScorer(bus).score("s1", text, "Hello.")


async def test_it_asks_about_the_words_and_gives_the_probability() -> None:
    bus, asked = MemoryBus(), []

    async def answer(message: Message) -> bytes:
        asked.append((message.subject, pb.ScoreRequest.FromString(message.data)))
        return pb.ScoreReply(probability=0.75).SerializeToString()

    await bus.serve(subjects.score("*"), answer, queue="llm")
    assert await _score(bus) == 0.75
    request = pb.ScoreRequest(session_id="s1", text="What time is it?", before="Hello.")
    assert asked == [("vv.score.s1", request)]
    assert await _score(bus, " ") is None
    assert len(asked) == 1


async def test_certainly_not_finished_is_a_score() -> None:
    bus = MemoryBus()

    async def answer(_: Message) -> bytes:
        return pb.ScoreReply().SerializeToString()

    await bus.serve(subjects.score("*"), answer)
    assert await _score(bus) == 0.0


async def _error(_: Message) -> bytes:
    return pb.ScoreReply(error=pb.StageError(code="OVERLOADED")).SerializeToString()


async def _garbage(_: Message) -> bytes:
    return b"\xff no message"


async def _never(_: Message) -> bytes:
    await asyncio.sleep(10)
    return b""


@pytest.mark.parametrize("answer", [_error, _garbage, _never])
async def test_no_score_is_none_in_time(answer: Answer) -> None:
    bus = MemoryBus()
    await bus.serve(subjects.score("*"), answer)
    asked_at = time.monotonic()
    assert await _score(bus) is None
    assert time.monotonic() - asked_at < SCORE_TIMEOUT_S + 0.3


async def test_nobody_and_no_bus_are_none_at_once() -> None:
    bus = MemoryBus()
    asked_at = time.monotonic()
    assert await _score(bus) is None
    bus.server.down = True
    assert await _score(bus) is None
    assert time.monotonic() - asked_at < SCORE_TIMEOUT_S
