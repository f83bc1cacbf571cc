"""Real servers for tests: an explicit URL, else a local binary, else a container; else a reason.

VISAVIS_TEST_NATS_URL, VISAVIS_TEST_LIVEKIT_URL (with VISAVIS_TEST_LIVEKIT_API_KEY and _API_SECRET)
name servers that run already; VISAVIS_TEST_SERVERS=containers leaves local binaries out. Tests that
kill or freeze a server take `NatsServer.process`, which is None for those.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers import container
from visavis_local.binaries import LIVEKIT_VERSION, find_livekit_server, nats_server
from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess
from visavis_local.servers import LIVEKIT_CONFIG, NATS_CONFIG, livekit_process, nats_process

NATS_IMAGE = "docker.io/library/nats:2.15.1-alpine"
LIVEKIT_IMAGE = f"docker.io/livekit/livekit-server:{LIVEKIT_VERSION}"


@dataclass(frozen=True)
class NatsServer:
    """A running NATS server with JetStream. `process` and `monitoring_url`: only of a local one."""

    url: str
    process: ServerProcess | None = None
    monitoring_url: str | None = None


@dataclass(frozen=True)
class LiveKitServer:
    """A running LiveKit server; `url` is ws://. `process`: only of a local one."""

    url: str
    api_key: str
    api_secret: str
    process: ServerProcess | None = None


@asynccontextmanager
async def running_nats() -> AsyncIterator[NatsServer]:
    """A NATS server of one's own (or the named one), empty, gone afterwards."""
    if url := os.environ.get("VISAVIS_TEST_NATS_URL"):
        yield NatsServer(url)
    elif not _in_containers() and _has_nats():
        async with _folder() as folder:
            port, monitoring = free_port(), free_port()
            process = nats_process(port, monitoring, folder)
            async with _running(process):
                yield NatsServer(_nats(port), process, f"http://127.0.0.1:{monitoring}")
    else:
        command = "-c /etc/visavis.conf -a 0.0.0.0"
        files = {"/etc/visavis.conf": NATS_CONFIG}
        async with container(NATS_IMAGE, command, files, tcp=4222) as port:
            yield NatsServer(_nats(port))


@asynccontextmanager
async def running_nats_cluster(nodes: int = 3) -> AsyncIterator[list[NatsServer]]:
    """A JetStream cluster of local processes, ready (a leader is elected)."""
    routes = [free_port() for _ in range(nodes)]
    everyone = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
    async with _folder() as folder, AsyncExitStack() as stack:
        servers = []
        for number, route in enumerate(routes):
            port, monitoring = free_port(), free_port()
            more = ["-n", f"n{number}", "--cluster_name", "test", "--routes", everyone]
            more += ["--cluster", f"nats://127.0.0.1:{route}"]
            process = nats_process(port, monitoring, folder / f"n{number}", more=more)
            servers.append(NatsServer(_nats(port), process, f"http://127.0.0.1:{monitoring}"))
        processes = [server.process for server in servers if server.process]
        # Together: none is ready before a majority is there.
        await all_done(*(stack.enter_async_context(_running(one)) for one in processes))
        yield servers


@asynccontextmanager
async def running_livekit() -> AsyncIterator[LiveKitServer]:
    """A LiveKit server of one's own (or the named one), gone afterwards."""
    key, secret = "visavis-test", secrets.token_hex(24)
    if url := os.environ.get("VISAVIS_TEST_LIVEKIT_URL"):
        prefix = "VISAVIS_TEST_LIVEKIT_API"
        yield LiveKitServer(url, os.environ[f"{prefix}_KEY"], os.environ[f"{prefix}_SECRET"])
    elif not _in_containers() and (program := find_livekit_server()):
        async with _folder() as folder:
            ports = free_port(), free_port()
            process = livekit_process(program, ports, (key, secret), folder)
            async with _running(process):
                yield LiveKitServer(f"ws://127.0.0.1:{ports[0]}", key, secret, process)
    else:
        # Media must be reachable under the port that the server names to its clients.
        udp = free_port()
        environ = {"LIVEKIT_KEYS": f"{key}: {secret}", "UDP_PORT": str(udp)}
        command = "--config /etc/livekit.yaml --bind 0.0.0.0"
        files = {"/etc/livekit.yaml": LIVEKIT_CONFIG}
        run = container(LIVEKIT_IMAGE, command, files, tcp=7880, udp=udp, environ=environ)
        async with run as port:
            yield LiveKitServer(f"ws://127.0.0.1:{port}", key, secret)


async def all_done(*starts: Awaitable[object]) -> None:
    """Wait for every one of them, even if one fails; then raise the first failure.

    A plain gather would return at the first failure, with the others still being started.
    """
    for outcome in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _nats(port: int) -> str:
    return f"nats://127.0.0.1:{port}"


def _in_containers() -> bool:
    return os.environ.get("VISAVIS_TEST_SERVERS") == "containers"


def _has_nats() -> bool:
    try:
        nats_server()
    except FileNotFoundError:
        return False
    return True


@asynccontextmanager
async def _running(process: ServerProcess) -> AsyncIterator[None]:
    try:
        await asyncio.to_thread(process.start)
        yield
    finally:
        await asyncio.to_thread(process.stop)


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="visavis-test-") as folder:
        yield Path(folder)
