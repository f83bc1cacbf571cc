"""A language model server in OpenAI's chat dialect that says what it is told to, for tests.

async with OpenAIServer(Reply("One. Two.")) as server:
    ... server.base_url ... server.requests[0].messages ...
"""

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from aiohttp import web


@dataclass(frozen=True)
class Reply:
    """One answer, word by word. `fault` happens after `fault_after` words.

    cut: the connection breaks; stall: nothing more comes; garbage: a chunk that is not JSON;
    error: an error object in the stream.
    """

    text: str = "This is a fixed sentence."
    first_token_s: float = 0.0
    token_s: float = 0.0
    finish_reason: str = "stop"
    status: int = 200
    fault: Literal["", "cut", "stall", "garbage", "error"] = ""
    fault_after: int = 0


@dataclass
class Request:
    """One request as it came, and what became of it (monotonic seconds)."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    """Case does not matter."""
    words_sent: int = 0
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    aborted_at: float = 0.0
    """When the caller closed the connection before the end."""
    took: Reply | None = None
    """The one of the server's `replies` that it was given."""
    came_at: float = field(default_factory=time.monotonic)

    @property
    def is_draft(self) -> bool:
        """It was asked before it was known that the person is done."""
        return self.headers.get("X-Visavis-Speculative") == "true"

    def replaces(self, before: "Request") -> bool:
        """That one was begun before its turn was over, on other words; this one is of the turn."""
        names = ("X-Visavis-Session", "X-Visavis-Turn")
        is_newer = before.headers.get("X-Visavis-Epoch") != self.headers.get("X-Visavis-Epoch")
        is_same = all(before.headers.get(name) == self.headers.get(name) for name in names)
        return before.is_draft and is_newer and is_same

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and words of the conversation."""
        return [(message["role"], message["content"]) for message in self.body["messages"]]

    @property
    def prefix(self) -> str:
        """The beginning of an answer that is to be continued."""
        role, words = self.messages[-1]
        return words if role == "assistant" else ""


class OpenAIServer:
    """`replies` are given in order, then `choose(request)`, by default the same reply each time.

    `requests` has one a turn: a draft that was given up is replaced by what came after it.
    """

    def __init__(self, reply: Reply | None = None, *, port: int = 0) -> None:
        always = reply or Reply()
        self.choose: Callable[[Request], Reply] = lambda _: always
        self.replies: deque[Reply] = deque()
        self.requests: list[Request] = []
        self.attempts: list[Request] = []
        """All of them, those that were given up too."""
        self.peers: set[object] = set()
        """Address and port of every connection that asked for an answer."""
        self.is_healthy = True
        self.completion: dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]] | None = None
        """What plain completions get, or how it is made; None: status `completion_status`."""
        self.completion_status = 404
        self.completion_s = 0.0
        self.completions: list[dict[str, Any]] = []
        """The bodies that asked for one."""
        self._port = port
        self._arrived = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What VISAVIS_LLM_BASE_URL takes."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> "OpenAIServer":
        await self._start()
        return self

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Nobody listens at the address for a while."""
        await self._stop()
        try:
            yield
        finally:
            await self._start()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._complete)
        # Only with this does a handler learn at once that the caller has gone.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def wait_for(self, count: int, timeout_s: float = 10.0) -> Request:
        """The `count`-th request (from 1), once it has come. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def _models(self, _: web.Request) -> web.Response:
        if not self.is_healthy:
            return web.Response(status=503)
        return web.json_response({"object": "list", "data": [{"id": "fixed", "object": "model"}]})

    async def _complete(self, incoming: web.Request) -> web.Response:
        self.completions.append(await incoming.json())
        await asyncio.sleep(self.completion_s)
        if self.completion is None:
            return web.json_response({"error": "scripted"}, status=self.completion_status)
        answer = self.completion
        return web.json_response(answer(self.completions[-1]) if callable(answer) else answer)

    async def _chat(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(await incoming.json(), incoming.headers)
        if incoming.transport:
            self.peers.add(incoming.transport.get_extra_info("peername"))
        async with self._arrived:
            reply = self._take_in(request)
            self._arrived.notify_all()
        if reply.status != 200:
            return web.json_response({"error": {"message": "scripted"}}, status=reply.status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(incoming)
            await self._speak(response, request, reply)
        except (asyncio.CancelledError, ConnectionError):
            request.aborted_at = time.monotonic()
            request.aborted.set()
            raise
        if reply.fault == "cut" and incoming.transport:
            incoming.transport.abort()
        return response

    def _take_in(self, request: Request) -> Reply:
        """The next reply; for another attempt at the same turn the one its draft took."""
        self.attempts.append(request)
        draft = next((one for one in self.requests[-1:] if request.replaces(one)), None)
        if draft:
            self.requests.pop()
        self.requests.append(request)
        if draft and draft.took:
            request.took = draft.took
        elif self.replies:
            request.took = self.replies.popleft()
        return request.took or self.choose(request)

    async def _speak(self, response: web.StreamResponse, request: Request, reply: Reply) -> None:
        await _send(response, {"role": "assistant", "content": None})
        await asyncio.sleep(reply.first_token_s)
        for word in re.findall(r"\s*\S+", reply.text.removeprefix(request.prefix)):
            if reply.fault and request.words_sent == reply.fault_after:
                break
            await _send(response, {"content": word})
            request.words_sent += 1
            await asyncio.sleep(reply.token_s)
        if reply.fault == "cut":
            return
        if reply.fault == "stall":
            await asyncio.Event().wait()
        if reply.fault == "garbage":
            await response.write(b"data: {not json\n\n")
        if reply.fault == "error":
            await response.write(b'data: {"error": {"message": "scripted"}}\n\n')
        await _send(response, {}, reply.finish_reason)
        usage = {"choices": [], "usage": {"completion_tokens": request.words_sent}}
        await response.write(f"data: {json.dumps(usage)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")


async def _send(
    response: web.StreamResponse, delta: dict[str, Any], finish_reason: str | None = None
) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"object": "chat.completion.chunk", "model": "fixed", "choices": [choice]}
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
