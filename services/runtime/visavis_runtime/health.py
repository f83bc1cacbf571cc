"""/livez, /readyz and /metrics of a service."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from visavis_runtime import log
from visavis_runtime.errors import VisavisError

logger = log.get(__name__)

LOOP_LAG_SECONDS = Gauge("vv_event_loop_lag_seconds", "How late the event loop woke at a look")
LOOP_LOOK_S = 1.0


class Health:
    """Alive: the event loop answers. Ready: there are checks, all pass, and nobody is draining."""

    def __init__(self) -> None:
        self.draining = False
        self._checks: dict[str, Callable[[], Awaitable[None]]] = {}

    def check(self, name: str, check: Callable[[], Awaitable[None]]) -> None:
        """Add a condition of readiness: `check` returns, or raises VisavisError with the reason."""
        self._checks[name] = check

    async def reasons(self) -> list[str]:
        """Why the service is not ready; empty when it is."""
        found = ["draining"] if self.draining else [] if self._checks else ["starting"]
        for name, check in list(self._checks.items()):
            try:
                await check()
            except VisavisError as error:
                found.append(f"{name}: {error}")
        return found

    def routes(self) -> list[web.RouteDef]:
        """The three endpoints, for a service that has an HTTP server of its own."""
        return [
            web.get("/livez", self._livez),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    async def watch_loop(self) -> None:
        """Measure the event loop's lateness for as long as the service runs."""
        while True:
            asleep = time.monotonic()
            await asyncio.sleep(LOOP_LOOK_S)
            LOOP_LAG_SECONDS.set(max(0.0, time.monotonic() - asleep - LOOP_LOOK_S))

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        reasons = await self.reasons()
        return web.Response(status=503 if reasons else 200, text="\n".join(reasons) or "ok")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def serve(routes: list[web.RouteDef], host: str, port: int) -> web.AppRunner:
    """Start an HTTP server; the caller calls `cleanup()` on what is returned."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    logger.info("http.listening", host=host, port=port)
    return runner
