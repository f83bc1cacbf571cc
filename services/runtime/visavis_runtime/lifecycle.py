"""The life of a service process: serve health, connect, run until SIGTERM, drain, close."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import uvloop

from visavis_runtime import health, log, nats_bus
from visavis_runtime.bus import Bus
from visavis_runtime.settings import ServiceSettings

logger = log.get(__name__)

Main = Callable[[Bus, health.Health, asyncio.Event], Awaitable[None]]
"""A service's body: returns after the event is set and its work is drained."""


def run(service: str, settings: ServiceSettings, main: Main) -> None:
    """Run a service until SIGTERM or SIGINT; the process ends with status 0 after a clean drain."""
    log.configure(service, settings.log_format)
    uvloop.run(_run(service, settings, main))


async def _run(service: str, settings: ServiceSettings, main: Main) -> None:
    state, stopping = health.Health(), asyncio.Event()
    user, password = settings.nats_user, settings.nats_password.get_secret_value()
    bus = nats_bus.NatsBus()
    connect = bus.connect(settings.nats_url, name=service, user=user, password=password)
    connecting = asyncio.create_task(connect)
    state.check("bus", bus.ping)

    def stop() -> None:
        logger.info("service.stopping")
        state.draining = True
        stopping.set()
        connecting.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with AsyncExitStack() as stack:
        server = await health.serve(state.routes(), settings.health_host, settings.health_port)
        stack.push_async_callback(server.cleanup)
        stack.callback(asyncio.create_task(state.watch_loop()).cancel)
        await asyncio.wait({connecting})
        if not connecting.cancelled():  # else told to stop before the bus was there
            await connecting
            stack.push_async_callback(bus.aclose)
            await main(bus, state, stopping)
    logger.info("service.stopped")
