"""More replicas of a running stack, and which of them is at work."""

import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.stack import RunningStack
from tests.support.workers import metric
from visavis_local.processes import ServerProcess
from visavis_runtime import nats_bus
from visavis_runtime.bus import Bus

PULL_S = 2.1
"""After this long, nothing more is given to a frozen worker: its last pull has run out."""


@dataclass
class Replicas:
    """Starts them under fresh numbers; `environ` is for all of them, `bus` a connection."""

    stack: RunningStack
    bus: Bus
    environ: Mapping[str, str] = field(default_factory=dict)
    _last: int = 0

    async def start(self, service: str, **environ: str) -> ServerProcess:
        """One more, ready."""
        self._last += 1
        return await self.stack.start(
            service, replica=self._last, environ={**self.environ, **environ}
        )

    def of(self, service: str) -> list[ServerProcess]:
        """Those that run."""
        all_of = (
            one for name, one in self.stack.processes.items() if name.split("-")[0] == service
        )
        return [one for one in all_of if one.running]

    async def holder(self, *, other_than: ServerProcess | None = None) -> ServerProcess:
        """The egress that holds a session; with `other_than`, once it is another one."""
        deadline = time.monotonic() + 15.0
        while time.monotonic() < deadline:
            for one in self.of("egress"):
                if one is not other_than and await metric(one, "vv_sessions "):
                    return one
        raise AssertionError("nobody holds a session within 15 s")


@asynccontextmanager
async def replicas(
    stack: RunningStack, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Replicas]:
    """The bus connection is closed afterwards; the processes are the stack's."""
    bus = await nats_bus.NatsBus().connect(stack.layout.nats_url, name="test")
    try:
        yield Replicas(stack, bus, environ or {})
    finally:
        await bus.aclose()


@asynccontextmanager
async def frozen(*processes: ServerProcess) -> AsyncIterator[None]:
    """Stopped in their tracks; going on afterwards."""
    for one in processes:
        one.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in processes:
            one.signal(signal.SIGCONT)
