"""Model workers as processes on a real bus: started, given work, frozen, killed, asked."""

import asyncio
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

from google.protobuf.message import Message

from deploy.nats.provision import provision
from tests.support.servers import running_nats
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess
from visavis_runtime import nats_bus, subjects
from visavis_runtime.bus import Bus

M = TypeVar("M", bound=Message)
EPOCH = subjects.epoch(1, 1)


@dataclass
class Workplace:
    """A NATS server with its streams, a connection to it, and workers. `session`: a fresh id."""

    bus: Bus
    nats_url: str
    folder: Path
    workers: list[ServerProcess] = field(default_factory=list)
    session: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def address(self) -> pb.Address:
        """The first attempt of the session's first turn."""
        return pb.Address(session_id=self.session, generation=1, turn=1, epoch=EPOCH)

    async def start(self, stage: str, **environ: str) -> ServerProcess:
        """One more replica of a stage, ready."""
        port = free_port()
        worker = ServerProcess(
            name=f"{stage}-{len(self.workers)}",
            command=[sys.executable, "-m", f"visavis_{stage}"],
            log=self.folder / f"{stage}-{len(self.workers)}.log",
            ready_url=f"http://127.0.0.1:{port}/readyz",
            environ={
                "VISAVIS_NATS_URL": self.nats_url,
                "VISAVIS_HEALTH_PORT": str(port),
                **{f"VISAVIS_{stage.upper()}_{name}": value for name, value in environ.items()},
            },
        )
        self.workers.append(worker)
        await asyncio.to_thread(worker.start)
        return worker

    async def give(self, stage: str, work: Message | bytes, message_id: str = "") -> float:
        """Put an item into a stage's queue; returns when it was there (monotonic)."""
        data = work if isinstance(work, bytes) else work.SerializeToString()
        await self.bus.store(subjects.work(stage, self.session), data, message_id=message_id)
        return time.monotonic()

    async def stored(self, kind: type[M], stream: str, subject: str) -> list[M]:
        """What a stream holds on a subject."""
        return [kind.FromString(one.data) async for one in self.bus.replay(stream, subject)]

    async def until_stored(
        self,
        kind: type[M],
        subject: str,
        is_enough: Callable[[list[M]], object],
        *,
        stream: str = subjects.RESULTS,
        within_s: float = 10.0,
    ) -> list[M]:
        """The same once it is enough; AssertionError after `within_s`."""
        deadline = time.monotonic() + within_s
        while not is_enough(found := await self.stored(kind, stream, subject)):
            assert time.monotonic() < deadline, f"not within {within_s} s on {subject}: {found}"
            await asyncio.sleep(0.005)
        return found

    async def dead_letters(self, stage: str) -> list[pb.DeadLetter]:
        """The session's dead letters of a stage."""
        subject = subjects.dead_letter(stage, self.session)
        last = await self.bus.last(subjects.DLQ, subject, leader=True)
        return [pb.DeadLetter.FromString(last.data)] if last else []

    async def who_works(self, within_s: float = 5.0) -> ServerProcess:
        """The worker that has an item in progress."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for worker in self.workers:
                if worker.running and await metric(worker, "vv_work_running{"):
                    return worker
        raise AssertionError(f"nobody works within {within_s} s")


@asynccontextmanager
async def workplace() -> AsyncIterator[Workplace]:
    """A server, its streams, and no worker yet; everything is gone afterwards."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_nats())
        await provision(server.url)
        bus = await nats_bus.NatsBus().connect(server.url, name="test")
        stack.push_async_callback(bus.aclose)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="visavis-test-"))
        place = Workplace(bus, server.url, Path(folder))
        try:
            yield place
        finally:
            # Killed, not stopped: a drain waits for a fetch of 2 s, and frozen ones hear nothing.
            for worker in place.workers:
                worker.kill()


async def metric(worker: ServerProcess, prefix: str) -> float:
    """The sum of a worker's metrics whose lines begin with `prefix`; 0 if there is none."""
    url = str(worker.ready_url).replace("/readyz", "/metrics")

    def read() -> str:
        with urlopen(url, timeout=5) as response:
            return str(response.read().decode())

    lines = (await asyncio.to_thread(read)).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(prefix))


async def until_settled(worker: ServerProcess, items: int = 1, within_s: float = 10.0) -> None:
    """Return once a worker has settled so many items, one way or the other."""
    deadline = time.monotonic() + within_s
    while await metric(worker, "vv_work_total{") < items:
        assert time.monotonic() < deadline, f"{worker.name} did not settle\n{worker.tail()}"
        await asyncio.sleep(0.02)


async def end_status(worker: ServerProcess, within_s: float = 10.0) -> int | None:
    """SIGTERM, then the worker's exit status once it has ended; None if it has not in time."""
    worker.signal(signal.SIGTERM)
    deadline = time.monotonic() + within_s
    while worker.running and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return worker.exit_status
