"""The HTTP application: console, ingress, control, health. One port, loopback."""

import asyncio

from aiohttp import web
from pydantic import ValidationError

from visavis_motion_sim.console import Console
from visavis_motion_sim.faults import FaultOrder, Faults
from visavis_motion_sim.ingress import Ingress, Parts
from visavis_motion_sim.settings import Settings
from visavis_motion_sim.stage import JoinStage
from visavis_motion_sim.stats import Stats
from visavis_motion_sim.tokens import Tokens
from visavis_runtime import health


class Control:
    """Handlers of `/sim/*`: errors on demand, and what was seen."""

    def __init__(self, faults: Faults, stats: Stats, ingress: Ingress) -> None:
        self._faults = faults
        self._stats = stats
        self._ingress = ingress

    async def order(self, request: web.Request) -> web.Response:
        """`POST /sim/faults`; answers how many open connections were acted on."""
        try:
            order = FaultOrder.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        self._faults.order(order)
        affected = 0
        if order.error is not None:
            given = order.error
            affected = await self._ingress.error_all(given.code, given.message, given.req_id)
        if order.close is not None:
            affected = await self._ingress.end_all(order.close)
        return web.json_response({"affected": affected})

    async def reset(self, request: web.Request) -> web.Response:
        """`DELETE /sim/faults`."""
        self._faults.reset()
        return web.json_response({})

    async def stats(self, request: web.Request) -> web.Response:
        """`GET /sim/stats`."""
        return web.json_response(self._stats.as_json())


class MotionSim:
    """The running stand-in: `async with` starts and stops it, `port` is the bound one."""

    def __init__(self, settings: Settings, join: JoinStage) -> None:
        self._settings = settings
        self.faults = Faults(settings.first_audio_delay_ms)
        self.stats = Stats()
        self.health = health.Health()
        tokens = Tokens()
        self._ingress = Ingress(Parts(settings, tokens, self.faults, self.stats, join))
        console = Console(settings, tokens, self.faults, self.stats)
        self._runner = web.AppRunner(self._app(console), access_log=None)
        self.port = settings.port

    def _app(self, console: Console) -> web.Application:
        control = Control(self.faults, self.stats, self._ingress)
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/console/session-tokens", console.handle),
                web.get("/v2/driveningress/websocket", self._ingress.handle),
                web.post("/sim/faults", control.order),
                web.delete("/sim/faults", control.reset),
                web.get("/sim/stats", control.stats),
                *self.health.routes(),
            ]
        )
        return app

    async def __aenter__(self) -> "MotionSim":
        self._watching = asyncio.create_task(self.health.watch_loop())
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.health.check("listening", self._listening)
        return self

    async def _listening(self) -> None:
        """Nothing else has to be there before connections are served."""

    async def __aexit__(self, *exc: object) -> None:
        self.health.draining = True
        await self._ingress.stop()
        await self._runner.cleanup()
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
