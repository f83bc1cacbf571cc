"""Answers to `vv.score.*`: from the scripted engine and server, within their bounds, on the bus."""

import asyncio
import math
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.memory_bus import MemoryBus
from tests.support.openai_server import OpenAIServer
from tests.support.waiting import until
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_llm import openai_chat, scorer
from visavis_llm.engine import ModelError
from visavis_llm.fake import FakeChatModel
from visavis_llm.openai_chat import OpenAIChatModel
from visavis_llm.scorer import Scorer
from visavis_runtime import subjects
from visavis_runtime.bus import Message
from visavis_runtime.errors import NobodyThere

LIKELY = {"?": math.log(0.75), " at": math.log(0.25)}
COMPLETION = {"choices": [{"text": "?", "logprobs": {"top_logprobs": [LIKELY]}}]}


def asked(text: str = "What time is it?", before: str = "Hello.") -> Message:
    request = pb.ScoreRequest(session_id="s1", text=text, before=before)
    return Message(subjects.score("s1"), request.SerializeToString())


async def reply(to: Scorer, message: Message) -> pb.ScoreReply:
    return pb.ScoreReply.FromString(await to.answer(message))


class Slow(FakeChatModel):
    """Answers once `go` is set."""

    def __init__(self) -> None:
        super().__init__("")
        self.go = asyncio.Event()
        self.asked = 0

    async def end_probability(self, text: str, before: str) -> float:
        self.asked += 1
        await self.go.wait()
        return 0.5


async def test_the_scripted_engine_scores_by_punctuation_on_the_bus() -> None:
    bus = MemoryBus()
    async with Scorer(FakeChatModel(""), 1).serving(bus):
        for text, probability in (("It is.", 1), ("It is", 0)):
            data = await bus.request(subjects.score("s1"), asked(text).data, timeout_s=1)
            assert pb.ScoreReply.FromString(data) == pb.ScoreReply(probability=probability)
    with pytest.raises(NobodyThere):
        await bus.request(subjects.score("s1"), asked().data, timeout_s=1)


async def test_each_request_is_answered_by_one_worker() -> None:
    bus, models = MemoryBus(), [Slow(), Slow()]
    for model in models:
        model.go.set()
    async with Scorer(models[0], 1).serving(bus), Scorer(models[1], 1).serving(bus):
        await until(lambda: all(model.asked for model in models), "both servers are warm")
        for _ in range(4):
            await bus.request(subjects.score("s1"), asked().data, timeout_s=1)
    assert [model.asked for model in models] == [3, 3]


@pytest.mark.parametrize(("late", "tries"), [(0, 1), (2, 3), (9, scorer.WARM_TRIES)])
async def test_a_cold_server_is_warmed_at_the_start(late: int, tries: int) -> None:
    class Cold(FakeChatModel):
        asked = 0

        async def end_probability(self, text: str, before: str) -> float:
            self.asked += 1
            if self.asked <= late:
                raise ModelError("MODEL_TIMEOUT", "late")
            return 0.5

    model = Cold("")
    async with Scorer(model, 1).serving(MemoryBus()):
        await until(lambda: model.asked == tries, "the server was asked")
        await asyncio.sleep(0.01)
        assert model.asked == tries


async def test_no_slots_serve_nobody() -> None:
    bus = MemoryBus()
    async with Scorer(FakeChatModel(""), 0).serving(bus):
        with pytest.raises(NobodyThere):
            await bus.request(subjects.score("s1"), asked().data, timeout_s=1)


async def test_more_than_the_slots_are_turned_away_at_once() -> None:
    model = Slow()
    one = Scorer(model, 2)
    running = [asyncio.create_task(reply(one, asked())) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await asyncio.wait_for(reply(one, asked()), 1)).error.code == "OVERLOADED"
    model.go.set()
    assert [(await task).probability for task in running] == [0.5, 0.5]
    assert (await reply(one, asked())).probability == 0.5
    assert model.asked == 3


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Message("vv.score.s1", b"\xff no message"), "MALFORMED"),
        (asked(" "), "EMPTY"),
    ],
)
async def test_a_bad_request_is_told(message: Message, code: str) -> None:
    assert (await reply(Scorer(FakeChatModel(""), 1), message)).error.code == code


def chat(server: OpenAIServer) -> OpenAIChatModel:
    return OpenAIChatModel(server.base_url, "m", "key")


async def test_it_asks_for_one_token_and_its_probabilities() -> None:
    async with OpenAIServer() as server:
        server.completion = COMPLETION
        model = chat(server)
        found = await model.end_probability("What time is it?", "Hello.")
        await model.aclose()
    assert found == pytest.approx(0.75)
    (body,) = server.completions
    assert body.pop("prompt").endswith("\nAgent: Hello.\nCaller: what time is it")
    assert body == {"model": "m", "max_tokens": 1, "temperature": 0.0, "logprobs": 20}


@pytest.mark.parametrize(
    ("completion", "status", "code"),
    [
        (None, 404, "SCORES_UNSUPPORTED"),
        (None, 400, "SCORES_UNSUPPORTED"),
        (None, 500, "MODEL_SERVER_ERROR"),
        (None, 429, "MODEL_SERVER_ERROR"),
        (None, 401, "MODEL_SERVER_ERROR"),
        ({"choices": [{"text": "?", "logprobs": None}]}, 200, "SCORES_UNSUPPORTED"),
    ],
)
async def test_what_the_server_cannot_do_has_a_code(
    completion: dict[str, Any] | None, status: int, code: str
) -> None:
    async with OpenAIServer() as server:
        server.completion, server.completion_status = completion, status
        model = chat(server)
        with pytest.raises(ModelError) as failed:
            await model.end_probability("yes", "")
        await model.aclose()
    assert failed.value.code == code


async def test_a_slow_server_and_none_at_all_have_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_chat, "SCORE_S", 0.05)
    async with OpenAIServer() as server:
        server.completion, server.completion_s = COMPLETION, 5.0
        model = chat(server)
        with pytest.raises(ModelError) as slow:
            await model.end_probability("yes", "")
    monkeypatch.setattr(openai_chat, "SCORE_S", 2.0)
    with pytest.raises(ModelError) as gone:
        await model.end_probability("yes", "")
    await model.aclose()
    assert (slow.value.code, gone.value.code) == ("MODEL_TIMEOUT", "MODEL_SERVER_DOWN")


async def test_a_server_that_cannot_is_said_once_and_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OpenAIServer() as server:
        model = chat(server)
        one = Scorer(model, 1)
        with capture_logs() as logs:
            for _ in range(3):
                assert (await reply(one, asked())).error.code == "SCORES_UNSUPPORTED"
            assert len(server.completions) == 1
            monkeypatch.setattr(scorer, "UNSUPPORTED_FOR_S", 0.0)
            one = Scorer(model, 1)
            for _ in range(2):
                assert (await reply(one, asked("a secret"))).error.code == "SCORES_UNSUPPORTED"
            assert len(server.completions) == 3
            server.completion = COMPLETION
            assert (await reply(one, asked())).probability == 0.75
        await model.aclose()
    assert [entry["event"] for entry in logs] == ["llm.scores_unsupported"] * 2
    assert "secret" not in str(logs)
