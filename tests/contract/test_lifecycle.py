"""A service process: waits for the bus, is ready then, drains on SIGTERM, ends with status 0."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.support.bus_users import with_user
from tests.support.servers import running_nats
from tests.support.waiting import until
from visavis_local.ports import free_port
from visavis_local.servers import nats_process

SERVICE = """
import asyncio
from visavis_runtime import lifecycle, log
from visavis_runtime.settings import ServiceSettings, load

logger = log.get("service")

async def main(bus, state, stopping):
    logger.info("running")
    await stopping.wait()
    await asyncio.sleep(0.3)
    logger.info("drained")

lifecycle.run("test", load(ServiceSettings), main)
"""


@contextmanager
def service(
    folder: Path, nats_url: str, port: int, account: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    environ = os.environ | {
        "VISAVIS_NATS_URL": nats_url,
        "VISAVIS_HEALTH_PORT": str(port),
        "VISAVIS_LOG_FORMAT": "json",
        **(account or {}),
    }
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", SERVICE], env=environ, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def readyz(port: int) -> str:
    """`ok`, the reasons against it, or nothing while nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return str(answer.read().decode())
    except HTTPError as refused:
        with refused:
            return refused.read().decode()
    except URLError:
        return ""


def events(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (folder / "log").read_text().splitlines()]


async def test_it_stops_cleanly_while_there_is_no_bus(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, f"nats://127.0.0.1:{free_port()}", port) as process:
        refused = "bus: no connection: ConnectionRefusedError"
        await until(lambda: readyz(port).startswith(refused), "the reason", within_s=20)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 5) == 0
    assert events(tmp_path)[-2:] == ["service.stopping", "service.stopped"]


async def test_it_is_ready_with_the_bus_not_while_draining_and_ends_with_status_0(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with running_nats() as server:
        with service(tmp_path, server.url, port) as process:
            await until(lambda: "running" in events(tmp_path), "the body runs", within_s=20)
            assert await asyncio.to_thread(readyz, port) == "ok"
            process.send_signal(signal.SIGTERM)
            await until(lambda: "service.stopping" in events(tmp_path), "SIGTERM is heard")
            assert await asyncio.to_thread(readyz, port) == "draining"
            assert await asyncio.to_thread(process.wait, 5) == 0
    told = [event for event in events(tmp_path) if not event.startswith("bus.")]
    assert told[-3:] == ["service.stopping", "drained", "service.stopped"]


async def test_a_wrong_password_is_said_where_one_looks_and_not_over_and_over(
    tmp_path: Path,
) -> None:
    port, bus_port = free_port(), free_port()
    bus = with_user(nats_process(bus_port, free_port(), tmp_path / "nats"), "nats")
    wrong = {"VISAVIS_NATS_USER": "asr", "VISAVIS_NATS_PASSWORD": "wrong"}
    await asyncio.to_thread(bus.start)
    try:
        with service(tmp_path, f"nats://127.0.0.1:{bus_port}", port, wrong):
            why = "Authorization Violation"
            await until(lambda: why in readyz(port), "the reason", within_s=20)
            await asyncio.sleep(2.0)  # some eight tries
            assert why in await asyncio.to_thread(readyz, port)
            assert (tmp_path / "log").read_text().count(why) == 1
    finally:
        await asyncio.to_thread(bus.stop)
