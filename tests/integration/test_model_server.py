"""The embedded model server as a process: it answers, counts, stops generating, and ends."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess

TELL = {"messages": [{"role": "user", "content": "Tell me a long story."}], "stream": True}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    port = free_port()
    process = ServerProcess(
        name="model-server",
        command=[sys.executable, "-m", "visavis_model_server"],
        log=tmp_path / "log",
        ready_url=f"http://127.0.0.1:{port}/health",
        environ={"VISAVIS_MODEL_SERVER_PORT": str(port)},
    )
    try:
        await asyncio.to_thread(process.start)
        yield process
    finally:
        await asyncio.to_thread(process.stop)


def _url(server: ServerProcess, path: str) -> str:
    return f"http://127.0.0.1:{server.environ['VISAVIS_MODEL_SERVER_PORT']}{path}"


async def _metric(client: aiohttp.ClientSession, server: ServerProcess, name: str) -> float:
    async with client.get(_url(server, "/metrics")) as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


async def _counted(client: aiohttp.ClientSession, server: ServerProcess, outcome: str) -> float:
    return await _metric(
        client, server, f'visavis_model_chat_requests_total{{outcome="{outcome}"}}'
    )


async def test_it_streams_an_answer_and_counts_it(server: ServerProcess) -> None:
    async with aiohttp.ClientSession() as client:
        body = {**TELL, "max_tokens": 12}
        async with client.post(_url(server, "/v1/chat/completions"), json=body) as answer:
            assert answer.content_type == "text/event-stream"
            events = [line[6:] async for line in answer.content if line.startswith(b"data: ")]
        assert events[-1].strip() == b"[DONE]"
        words = [json.loads(event)["choices"][0]["delta"].get("content") for event in events[:-1]]
        assert "".join(word or "" for word in words).strip()
        assert await _counted(client, server, "answered") == 1


async def test_it_stops_generating_when_the_caller_goes(server: ServerProcess) -> None:
    async with aiohttp.ClientSession() as client:
        body = {**TELL, "max_tokens": 2000}
        async with client.post(_url(server, "/v1/chat/completions"), json=body) as answer:
            await answer.content.readany()
        async with asyncio.timeout(2):
            while await _metric(client, server, "llamacpp:requests_processing"):
                await asyncio.sleep(0.02)
        assert await _counted(client, server, "abandoned") == 1


async def test_a_malformed_request_is_refused_and_it_still_serves(server: ServerProcess) -> None:
    async with aiohttp.ClientSession() as client:
        headers = {"Content-Type": "application/json"}
        url = _url(server, "/v1/chat/completions")
        async with client.post(url, data=b"\xff{", headers=headers) as answer:
            assert 400 <= answer.status <= 500
        assert await _counted(client, server, "refused") == 1
        async with client.get(_url(server, "/health")) as answer:
            assert answer.status == 200


async def test_sigterm_ends_it_in_the_middle_of_an_answer(server: ServerProcess) -> None:
    async with aiohttp.ClientSession() as client:
        body = {**TELL, "max_tokens": 2000, "ignore_eos": True}
        async with client.post(_url(server, "/v1/chat/completions"), json=body) as answer:
            await answer.content.readany()
            await asyncio.to_thread(server.stop)
            with pytest.raises(aiohttp.ClientError):
                await answer.content.read()
    assert server.exit_status == 0


async def test_one_token_does_not_wait_for_answers_in_progress(server: ServerProcess) -> None:
    """As many answers as there are slots and one more, which waits; it may be given up."""
    one_token = {"prompt": "Caller: what time is it", "max_tokens": 1, "logprobs": 20}
    chats = _url(server, "/v1/chat/completions")
    async with aiohttp.ClientSession() as client, AsyncExitStack() as stack:
        for _ in range(4):
            answer = await stack.enter_async_context(client.post(chats, json=TELL))
            await answer.content.readline()
        waiting = asyncio.create_task(client.post(chats, json=TELL | {"max_tokens": 1}))
        for _ in range(3):
            async with asyncio.timeout(1.5):
                url = _url(server, "/v1/completions")
                async with client.post(url, json=one_token) as scored:
                    logprobs = (await scored.json())["choices"][0]["logprobs"]
            assert len(logprobs["content"][0]["top_logprobs"]) == 20
        assert not waiting.done()
        await stack.aclose()  # the four callers go
        async with asyncio.timeout(5):
            assert (await (await waiting).text()).endswith("data: [DONE]\n\n")
