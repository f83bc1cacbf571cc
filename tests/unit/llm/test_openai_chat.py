"""The client of OpenAI's chat dialect against a scripted server."""

import asyncio
import time
from contextlib import aclosing

import pytest

from tests.support.openai_server import OpenAIServer, Reply
from visavis_llm import openai_chat
from visavis_llm.engine import ModelError, Prompt
from visavis_llm.openai_chat import OpenAIChatModel

PROMPT = Prompt([("user", "Hello?")], "", 0.5, 20, {"X-Request-Id": "s1/5"})


def model(server: OpenAIServer, **options: object) -> OpenAIChatModel:
    token_s = float(str(options.pop("token_s", 5.0)))
    return OpenAIChatModel(
        server.base_url,
        "m",
        "key",
        continuation=str(options.pop("continuation", "none")),
        keepalive_connections=int(str(options.pop("keepalive", 0))),
        timeouts_s=(2.0, token_s),
    )


async def ask(chat: OpenAIChatModel, prompt: Prompt = PROMPT) -> tuple[str, str]:
    """Text and finish reason."""
    deltas = [delta async for delta in chat.stream(prompt)]
    await chat.aclose()
    return "".join(delta.text for delta in deltas), deltas[-1].finish_reason


async def test_it_asks_in_the_dialect_and_gives_out_what_comes() -> None:
    async with OpenAIServer(Reply("One. Two.", finish_reason="length")) as server:
        assert await ask(model(server)) == ("One. Two.", "length")
    (request,) = server.requests
    assert request.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello?"}],
        "temperature": 0.5,
        "max_tokens": 20,
        "stream": True,
    }
    assert request.headers["Authorization"] == "Bearer key"
    assert request.headers["X-Request-Id"] == "s1/5"


@pytest.mark.parametrize("continuation", ["llamacpp", "vllm"])
async def test_a_prefix_is_a_trailing_assistant_message(continuation: str) -> None:
    prompt = Prompt(PROMPT.messages, "One.", 0.0, 20)
    async with OpenAIServer(Reply("One. Two.")) as server:
        chat = model(server, continuation=continuation)
        assert chat.can_continue
        assert (await ask(chat, prompt))[0] == " Two."
    (request,) = server.requests
    assert request.messages == [("user", "Hello?"), ("assistant", "One.")]
    flags = {key: request.body.get(key) for key in ("continue_final_message",)}
    assert flags["continue_final_message"] is (True if continuation == "vllm" else None)
    assert request.body.get("add_generation_prompt") is (False if continuation == "vllm" else None)


@pytest.mark.parametrize(
    ("reply", "code", "can_retry"),
    [
        (Reply(status=500), "MODEL_SERVER_ERROR", True),
        (Reply(status=503), "MODEL_SERVER_ERROR", True),
        (Reply(status=429), "MODEL_SERVER_ERROR", True),
        (Reply(status=401), "MODEL_SERVER_ERROR", False),
        (Reply(status=400), "MODEL_SERVER_ERROR", False),
        (Reply(fault="cut", fault_after=2), "MODEL_SERVER_ERROR", True),
        (Reply(fault="garbage", fault_after=2), "MODEL_SERVER_ERROR", True),
        (Reply(fault="error"), "MODEL_SERVER_ERROR", True),
        (Reply(fault="stall"), "MODEL_TIMEOUT", True),
        (Reply(fault="stall", fault_after=2), "MODEL_TIMEOUT", True),
    ],
)
async def test_every_failure_has_a_code(reply: Reply, code: str, can_retry: bool) -> None:
    async with OpenAIServer(reply) as server:
        chat = model(server, token_s=0.1)
        with pytest.raises(ModelError) as failed:
            await ask(chat)
        await chat.aclose()
    assert (failed.value.code, failed.value.can_retry) == (code, can_retry)


async def test_nobody_there_has_a_code() -> None:
    async with OpenAIServer() as server:
        chat = model(server)
    with pytest.raises(ModelError) as failed:
        await ask(chat)
    assert failed.value.code == "MODEL_SERVER_DOWN"
    await chat.aclose()


async def test_an_answer_without_a_word_is_an_empty_stream() -> None:
    async with OpenAIServer(Reply("")) as server:
        assert await ask(model(server)) == ("", "stop")


async def test_slow_words_are_no_time_out_while_they_come() -> None:
    async with OpenAIServer(Reply("a b c d e f", token_s=0.05)) as server:
        assert (await ask(model(server, token_s=0.2)))[0] == "a b c d e f"


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "cancelled"])
async def test_stopping_closes_the_connection_at_once(closes: bool) -> None:
    async with OpenAIServer(Reply("word " * 1000, token_s=0.01)) as server:
        chat = model(server, keepalive=4)
        has_begun = asyncio.Event()

        async def listen() -> None:
            async with aclosing(chat.stream(PROMPT)) as deltas:
                async for _ in deltas:
                    has_begun.set()
                    if closes:
                        return

        task = asyncio.create_task(listen())
        await asyncio.wait_for(has_begun.wait(), 5)
        task.cancel()
        stopped_at = time.monotonic()
        await asyncio.gather(task, return_exceptions=True)
        # About 2 ms on a quiet machine; the bound only tells it from the server's own end.
        assert time.monotonic() - stopped_at < 1.0
        request = await server.wait_for(1)
        await asyncio.wait_for(request.aborted.wait(), 5)
        assert request.aborted_at - stopped_at < 1.0
        await chat.aclose()


@pytest.mark.parametrize(("keepalive", "connections"), [(0, 3), (2, 1)])
async def test_connections_are_kept_only_when_asked_for(keepalive: int, connections: int) -> None:
    async with OpenAIServer(Reply("One.")) as server:
        chat = model(server, keepalive=keepalive)
        for _ in range(3):
            assert [delta.text async for delta in chat.stream(PROMPT)] == ["One.", ""]
        await chat.aclose()
    assert len(server.peers) == connections


async def test_readiness_asks_the_server_and_remembers_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OpenAIServer() as server:
        chat = model(server)
        await chat.ready()
        server.is_healthy = False
        await chat.ready()
        monkeypatch.setattr(openai_chat, "READY_FOR_S", 0.0)
        with pytest.raises(ModelError, match="503"):
            await chat.ready()
        server.is_healthy = True
        await chat.ready()
    with pytest.raises(ModelError, match="ConnectError"):
        await chat.ready()
    await chat.aclose()


@pytest.mark.parametrize("data", ["[]", "1", '{"choices": 5}', '{"choices": [5]}', "nope", '"x"'])
def test_what_is_not_a_chunk_is_an_error(data: str) -> None:
    with pytest.raises(ModelError):
        openai_chat._delta(data)


@pytest.mark.parametrize(
    ("data", "text", "reason"),
    [
        ('{"choices": []}', "", ""),
        ('{"choices": [{"delta": {"content": null}}]}', "", ""),
        ('{"choices": [{"delta": {"content": "a"}, "finish_reason": null}]}', "a", ""),
        ('{"choices": [{"delta": {}, "finish_reason": "content_filter"}]}', "", "stop"),
    ],
)
def test_chunks_of_all_kinds_are_understood(data: str, text: str, reason: str) -> None:
    delta = openai_chat._delta(data)
    assert (delta.text, delta.finish_reason) == (text, reason)
