"""/livez, /readyz and /metrics."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest

from visavis_local.ports import free_port
from visavis_runtime import health
from visavis_runtime.errors import BusUnavailable

Get = Callable[[str], Awaitable[tuple[int, str]]]


async def _fine() -> None: ...


async def _fails() -> None:
    raise BusUnavailable("no answer from the bus")


@pytest.fixture
def state() -> health.Health:
    """With one check that passes."""
    state = health.Health()
    state.check("model", _fine)
    return state


@pytest.fixture
async def get(state: health.Health) -> AsyncIterator[Get]:
    """Asks the endpoints: status and text."""
    port = free_port()
    runner = await health.serve(state.routes(), "127.0.0.1", port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:

        async def ask(path: str) -> tuple[int, str]:
            async with client.get(path) as answer:
                return answer.status, await answer.text()

        yield ask
    await runner.cleanup()


async def test_ready_while_every_check_passes(get: Get) -> None:
    assert await get("/livez") == (200, "ok")
    assert await get("/readyz") == (200, "ok")


async def test_a_check_that_fails_is_named_and_only_ends_the_readiness(
    get: Get, state: health.Health
) -> None:
    state.check("bus", _fails)
    assert await get("/readyz") == (503, "bus: no answer from the bus")
    assert await get("/livez") == (200, "ok")
    state.check("bus", _fine)
    assert await get("/readyz") == (200, "ok")


async def test_a_draining_service_is_alive_and_not_ready(get: Get, state: health.Health) -> None:
    state.draining = True
    assert await get("/readyz") == (503, "draining")
    assert (await get("/livez"))[0] == 200


async def test_without_any_check_it_is_still_starting() -> None:
    assert await health.Health().reasons() == ["starting"]


async def test_metrics_show_the_loops_lag(
    get: Get, state: health.Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LOOP_LOOK_S", 0.01)
    watching = asyncio.create_task(state.watch_loop())
    await asyncio.sleep(0.03)
    status, text = await get("/metrics")
    assert status == 200
    assert "vv_event_loop_lag_seconds" in text
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


async def test_a_check_that_is_added_while_others_are_asked_breaks_nothing(
    get: Get, state: health.Health
) -> None:
    async def adds() -> None:
        state.check("bus", _fine)

    state.check("engine", adds)
    assert await get("/readyz") == (200, "ok")
