"""The whole one-machine run for a test: every process real, each of them in the test's hands."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.bus_users import account, with_user
from tests.support.servers import all_done
from visavis_local.processes import ServerProcess
from visavis_local.stack import SERVICES, LocalStack


@dataclass
class RunningStack:
    """`layout`: ports, addresses, environments. `processes`: by name, replicas as "asr-1".

    `users`: on the bus every service is a user with rights of its own, as in containers.
    """

    layout: LocalStack
    users: bool = False
    processes: dict[str, ServerProcess] = field(default_factory=dict)

    async def start(
        self, name: str, *, replica: int = 0, environ: Mapping[str, str] | None = None
    ) -> ServerProcess:
        """Start one more process (or a second replica) and wait until it is ready."""
        process = await asyncio.to_thread(self.layout.process, name, replica, environ)
        process = with_user(process, name) if self.users else process
        self.processes[process.name] = process
        await asyncio.to_thread(process.start)
        return process

    async def stop(self) -> None:
        """Stop all, the services before the servers that they need."""
        servers = [one for name, one in self.processes.items() if _is_server(name)]
        services = [one for name, one in self.processes.items() if not _is_server(name)]
        for group in (services, servers):
            await asyncio.gather(*(asyncio.to_thread(process.stop) for process in group))

    def logs(self, lines: int = 40) -> str:
        """The end of every process' output, for the message of a failed test."""
        return "\n".join(f"--- {one.name}\n{one.tail(lines)}" for one in self.processes.values())


@asynccontextmanager
async def running_stack(
    settings: Mapping[str, str] | None = None,
    *,
    services: Sequence[str] = SERVICES,
    users: bool = False,
) -> AsyncIterator[RunningStack]:
    """Servers, streams and services, ready; all gone afterwards.

    `settings` reach every process, over the environment's: VISAVIS_LLM_BASE_URL leaves the model
    server out, VISAVIS_AVATAR=audio_only leaves motion_sim idle. `users`: see RunningStack.
    """
    settings = settings or {}
    with tempfile.TemporaryDirectory(prefix="visavis-test-") as folder:
        layout = LocalStack.create(Path(folder), os.environ | settings)
        stack = RunningStack(layout, users)
        try:
            servers = [name for name in layout.processes if name not in SERVICES]
            await all_done(*(stack.start(name) for name in servers))
            provisioner = account("provision") if users else {}
            await asyncio.to_thread(_provision, layout, {**settings, **provisioner})
            await all_done(*(stack.start(name, environ=settings) for name in services))
            yield stack
        finally:
            await stack.stop()


def _is_server(name: str) -> bool:
    return name.split("-")[0] not in SERVICES


def _provision(layout: LocalStack, settings: Mapping[str, str]) -> None:
    command, environ = layout.provision()
    done = subprocess.run(
        command, env=os.environ | settings | environ, capture_output=True, text=True
    )
    assert not done.returncode, done.stdout + done.stderr
