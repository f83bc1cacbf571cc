"""Any server that speaks OpenAI's chat dialect (vLLM, llama.cpp), by httpx and httpx-sse."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from visavis_llm import turn_end
from visavis_llm.engine import (
    SCORES_UNSUPPORTED,
    SERVER_DOWN,
    SERVER_ERROR,
    TIMEOUT,
    Delta,
    ModelError,
    Prompt,
)

READY_FOR_S = 5.0
"""How long an answer about readiness holds: a probe must not add load, nor flap."""
SCORE_S = 1.0
"""Longest wait for a score; who asked has gone by then."""
_END_S = 1.0
_DONE = "[DONE]"
_LOOPBACK: dict[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}


class OpenAIChatModel:
    """See `engine.ChatModel`. `continuation`: `none`, `llamacpp` or `vllm` (see settings)."""

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str = "",
        *,
        continuation: str = "none",
        keepalive_connections: int = 0,
        timeouts_s: tuple[float, float] = (2.0, 8.0),
    ) -> None:
        """`timeouts_s`: for the connection, and for the first token and between two."""
        self.can_continue = continuation != "none"
        self._base_url, self._model, self._continuation = base_url, model, continuation
        connect_s, self._token_s = timeouts_s
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(connect_s, read=self._token_s),
            limits=httpx.Limits(max_keepalive_connections=keepalive_connections),
            mounts=_LOOPBACK,  # a proxy in the environment is not meant for a server next door
        )
        self._asked_at, self._reason = -READY_FOR_S, ""

    async def ready(self) -> None:
        """See the port. Asks the server at most every 5 s."""
        if time.monotonic() - self._asked_at >= READY_FOR_S:
            self._reason = await self._ask()
            self._asked_at = time.monotonic()
        if self._reason:
            raise ModelError(SERVER_DOWN, self._reason)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        """See the port."""
        # Not httpx's read time-out alone: a server's keep-alive comments would reset that.
        deadline = time.monotonic() + self._token_s
        try:
            async with aconnect_sse(
                self._client,
                "POST",
                f"{self._base_url}/chat/completions",
                json=self._body(prompt),
                headers=dict(prompt.headers),
            ) as source:
                _check_status(source.response)
                async with aclosing(self._deltas(source.aiter_sse(), deadline)) as deltas:
                    async for delta in deltas:
                        yield delta
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ModelError(SERVER_DOWN, f"no connection to the model server: {error}") from error
        except (TimeoutError, httpx.ReadTimeout) as error:
            raise ModelError(TIMEOUT, f"no token for {self._token_s} s") from error
        except (httpx.HTTPError, SSEError) as error:
            raise ModelError(SERVER_ERROR, f"{type(error).__name__}: {error}") from error

    async def end_probability(self, text: str, before: str) -> float:
        """See the port. One token of a plain completion: chat cannot leave a person's turn open."""
        body = {
            "model": self._model,
            "prompt": turn_end.prompt(text, before),
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": turn_end.TOP_TOKENS,
        }
        try:
            async with asyncio.timeout(SCORE_S):
                answer = await self._client.post(f"{self._base_url}/completions", json=body)
            if answer.status_code in (400, 404, 405, 422, 501):
                raise ModelError(SCORES_UNSUPPORTED, f"status {answer.status_code}")
            _check_status(answer)
            return turn_end.end_probability(answer.json())
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ModelError(SERVER_DOWN, f"no connection to the model server: {error}") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ModelError(TIMEOUT, f"no score within {SCORE_S} s") from error
        except httpx.HTTPError as error:
            raise ModelError(SERVER_ERROR, f"{type(error).__name__}: {error}") from error
        except (ValueError, turn_end.NotAScoreError) as error:
            reason = "the answer holds no probabilities of tokens"
            raise ModelError(SCORES_UNSUPPORTED, reason) from error

    async def aclose(self) -> None:
        """See the port."""
        await self._client.aclose()

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        messages = [{"role": role, "content": words} for role, words in prompt.messages]
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "temperature": prompt.temperature,
            "max_tokens": prompt.max_output_tokens,
            "stream": True,
        }
        if prompt.prefix:
            messages.append({"role": "assistant", "content": prompt.prefix})
            if self._continuation == "vllm":
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    async def _deltas(
        self, events: AsyncIterator[ServerSentEvent], deadline: float
    ) -> AsyncGenerator[Delta, None]:
        """The stream's pieces, read to its end: httpx keeps no connection that is left early."""
        is_finished = False
        while (event := await _next(events, deadline)) and event.data != _DONE:
            delta = _delta(event.data)
            is_finished = is_finished or bool(delta.finish_reason)
            if delta.text or delta.finish_reason:
                yield delta
                # Counted from here: while the consumer worked nobody waited for the server.
                deadline = time.monotonic() + self._token_s
        if event:
            with suppress(TimeoutError):
                await _next(events, time.monotonic() + _END_S)
        elif not is_finished:
            raise ModelError(SERVER_ERROR, "the stream ended in the middle")

    async def _ask(self) -> str:
        """Why the server cannot be used; empty when it can."""
        try:
            async with asyncio.timeout(2.0):
                answer = await self._client.get(f"{self._base_url}/models")
        except (TimeoutError, httpx.HTTPError) as error:
            return f"{self._base_url}: {type(error).__name__}"
        # Not every server lists its models; that it says so is answer enough.
        is_fine = answer.is_success or answer.status_code in (404, 405)
        return "" if is_fine else f"{self._base_url}: status {answer.status_code}"


async def _next(events: AsyncIterator[ServerSentEvent], deadline: float) -> ServerSentEvent | None:
    """The next event, None at the end. Raises TimeoutError after `deadline` (monotonic)."""
    async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
        return await anext(events, None)


def _check_status(response: httpx.Response) -> None:
    """Raise ModelError unless it is 200. The body is not quoted: it may hold what was said."""
    status = response.status_code
    if status != httpx.codes.OK:
        can_retry = status >= 500 or status in (408, 409, 425, 429)
        raise ModelError(SERVER_ERROR, f"status {status}", can_retry=can_retry)


def _delta(data: str) -> Delta:
    """One `chat.completion.chunk`; chunks without choices (usage) are empty."""
    try:
        chunk = json.loads(data)
        if "error" in chunk:
            raise ModelError(SERVER_ERROR, "the server reported an error in the stream")
        if not chunk.get("choices"):
            return Delta("")
        choice = chunk["choices"][0]
        text = (choice.get("delta") or {}).get("content") or ""
        reason = choice.get("finish_reason") or ""
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        message = f"not a chunk of a chat completion: {type(error).__name__}"
        raise ModelError(SERVER_ERROR, message) from error
    if not isinstance(text, str):
        raise ModelError(SERVER_ERROR, "not a chunk of a chat completion: content is not text")
    # Whatever else a server calls it, the answer is over in good order.
    return Delta(text, reason if reason in ("", "length") else "stop")
