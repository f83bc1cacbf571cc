"""The life of a service process: connect, serve health, run until SIGTERM, drain, close."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

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
    # Engines leave native threads behind whose end is of no interest any more.
    sys.stderr.flush()


async def _run(service: str, settings: ServiceSettings, main: Main) -> None:
    stopping = stop_on_signals()
    state = health.Health()
    async with _http(settings, state), _bus(service, settings) as bus:
        state.check("bus", bus.ping)
        stopping_seen = asyncio.create_task(_mark_draining(state, stopping))
        watching = asyncio.create_task(state.watch_loop())
        try:
            await main(bus, state, stopping)
        finally:
            for task in (watching, stopping_seen):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    logger.info("service.stopped")


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


@asynccontextmanager
async def _http(settings: ServiceSettings, state: health.Health) -> AsyncIterator[None]:
    runner = await health.serve(state.routes(), settings.health_host, settings.health_port)
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _bus(service: str, settings: ServiceSettings) -> AsyncIterator[Bus]:
    bus = await nats_bus.connect(
        settings.nats_url,
        name=service,
        user=settings.nats_user,
        password=settings.nats_password.get_secret_value(),
    )
    try:
        yield bus
    finally:
        await bus.aclose()


async def _mark_draining(state: health.Health, stopping: asyncio.Event) -> None:
    await stopping.wait()
    state.draining = True
    logger.info("service.stopping")
