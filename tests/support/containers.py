"""A server in a container, where no local program is to be had and an engine answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import docker  # type: ignore[import-untyped]
import docker.errors  # type: ignore[import-untyped]
import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import PortWaitStrategy


@asynccontextmanager
async def container(
    image: str,
    command: str,
    files: Mapping[str, Path],
    *,
    tcp: int,
    udp: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[int]:
    """Run `image`; yields the host's port for `tcp`. `udp` keeps its number.

    `files`: path in the container -> ours. Fails the test with the reason if no engine answers.
    """
    if not await asyncio.to_thread(_engine_answers):
        name = image.split(":")[0].rsplit("/", 1)[-1]
        pytest.fail(f"{name}: no URL is set, no program found (make setup), no container engine")
    server = DockerContainer(image).with_command(command).with_exposed_ports(tcp)
    server = server.waiting_for(PortWaitStrategy(tcp))
    for inside, ours in files.items():
        server = server.with_volume_mapping(str(ours), inside)
    for name, value in (environ or {}).items():
        server = server.with_env(name, value)
    if udp is not None:
        server = server.with_bind_ports(f"{udp}/udp", udp)
    try:
        await asyncio.to_thread(server.start)
        yield int(server.get_exposed_port(tcp))
    finally:
        await asyncio.to_thread(server.stop)


def _engine_answers() -> bool:
    # A docker command on PATH does not mean an engine, and an engine needs no such command.
    try:
        client = docker.from_env(timeout=3)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except docker.errors.DockerException:
        return False
