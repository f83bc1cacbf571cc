"""A speculative answer that is thrown away costs the model server nothing more."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.openai_server import OpenAIServer, Reply
from tests.support.waiting import until
from tests.support.workers import EPOCH, Workplace, metric, until_settled, workplace
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import subjects

PREFILL = Reply("Too late.", first_token_s=30.0)
TALKING = Reply("word " * 1000, token_s=0.02)


@pytest.fixture
async def place() -> AsyncIterator[Workplace]:
    async with workplace() as one:
        yield one


@pytest.mark.parametrize("reply", [PREFILL, TALKING], ids=["prefill", "talking"])
async def test_a_cancel_closes_the_stream_and_frees_the_slot(
    place: Workplace, reply: Reply
) -> None:
    async with OpenAIServer(Reply("This is one.")) as server:
        worker = await place.start("llm", BASE_URL=server.base_url, MODEL="fixed", SLOTS="1")
        server.replies.append(reply)
        address = place.address
        for number in range(3):  # the second one waits for the slot, and is void by then
            address.epoch, address.turn = EPOCH + number, number + 1
            messages = [pb.ChatMessage(role="user", content=str(number))]
            work = pb.GenerateWork(address=address, messages=messages, speculative=True)
            await place.give("llm", work)
        request = await server.wait_for(1)
        await until(lambda: reply is PREFILL or request.words_sent > 3, "words")
        cancel = pb.Cancel(session_id=place.session, epoch=EPOCH + 2)
        asked_at = time.monotonic()
        await place.bus.publish(subjects.cancel(place.session), cancel.SerializeToString())
        await asyncio.wait_for(request.aborted.wait(), 2)
        assert request.aborted_at - asked_at < 0.1
        await server.wait_for(2, timeout_s=1)
        await until_settled(worker, 3)
        asked = [one.messages[-1][1] for one in server.requests]
        assert asked == ["0", "2"]
        outcomes = {
            outcome: await metric(worker, f'vv_work_total{{outcome="{outcome}"')
            for outcome in ("cancelled", "stale", "done")
        }
        assert outcomes == {"cancelled": 1, "stale": 1, "done": 1}
