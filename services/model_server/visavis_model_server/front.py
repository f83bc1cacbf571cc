"""What stands before llama.cpp's server: it counts chat requests, which llama.cpp does not, and
keeps one place free of them, for questions of a single token.
"""

import asyncio

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest

from visavis_model_server.settings import SCORE_SLOTS

MAX_REQUEST_BYTES = 2 * 1024 * 1024
CHAT = "/v1/chat/completions"


class Front:
    """Passes every request on, byte for byte, and closes the connection upstream as soon as the
    caller has gone, so that llama.cpp stops generating.
    """

    def __init__(self, upstream: str, client: aiohttp.ClientSession, slots: int) -> None:
        self._upstream = upstream
        self._free = asyncio.Semaphore(slots)
        self._client = client
        self._registry = CollectorRegistry()
        self._chats = Counter(
            "visavis_model_chat_requests",
            "Chat requests by how they ended: answered, refused, abandoned by the caller",
            ["outcome"],
            registry=self._registry,
        )
        for outcome in ("answered", "refused", "abandoned"):
            self._chats.labels(outcome)

    def app(self) -> web.Application:
        """The routes: /metrics is ours and llama.cpp's together, the rest is passed on."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_post(CHAT, self._chat)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_route("*", "/{path:.*}", self._forward)
        return app

    async def warm(self, slots: int) -> None:
        """One short answer from every slot, so that the first caller does not wait for memory."""
        for slot in range(slots):
            body = {
                "messages": [{"role": "user", "content": "Hello."}],
                "max_tokens": 1,
                "id_slot": slot,
            }
            async with self._client.post(f"{self._upstream}{CHAT}", json=body) as answer:
                answer.raise_for_status()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        outcome = "abandoned"
        try:
            async with self._free:
                response = await self._forward(request)
            outcome = "answered" if response.status < 400 else "refused"
            return response
        finally:
            self._chats.labels(outcome).inc()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """Raises CancelledError when the caller has gone (the runner cancels its handlers)."""
        async with self._client.request(
            request.method,
            f"{self._upstream}{request.path_qs}",
            data=await request.read(),
            headers={"Content-Type": request.content_type},
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _metrics(self, request: web.Request) -> web.Response:
        async with self._client.get(f"{self._upstream}/metrics") as answer:
            theirs = await answer.text()
        return web.Response(text=generate_latest(self._registry).decode() + theirs)


async def serve(upstream: str, *, host: str, port: int, slots: int, stop: asyncio.Event) -> None:
    """Warm the model, then serve until `stop` is set. A caller is cut off at once then."""
    # llama.cpp closes its connections after an answer without saying so: never use one twice.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        front = Front(upstream, client, slots)
        await front.warm(slots + SCORE_SLOTS)
        runner = web.AppRunner(
            front.app(), handler_cancellation=True, access_log=None, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            await stop.wait()
        finally:
            await runner.cleanup()
