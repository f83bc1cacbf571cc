"""The person on another machine, which can be killed or frozen."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.conversation import Talk
from tests.support.voices import speak


@dataclass
class Elsewhere:
    """A process of its own in the room of a session."""

    process: asyncio.subprocess.Process

    async def say(self, words: str) -> None:
        """Say it aloud; returns when it is out."""
        await self.begin(words)
        await self.said()

    async def begin(self, words: str) -> None:
        """The same; returns when it begins."""
        assert self.process.stdin
        wav = await asyncio.to_thread(speak, words)
        self.process.stdin.write(f"{wav}\n".encode())
        await self._told(b"saying\n")

    async def said(self) -> None:
        """Returns when what was begun is out."""
        await self._told(b"said\n")

    async def _told(self, line: bytes) -> None:
        assert self.process.stdout
        assert await self.process.stdout.readline() == line


@asynccontextmanager
async def elsewhere(one: Talk) -> AsyncIterator[Elsewhere]:
    """The person goes over to it; killed in the end, if not before."""
    await one.caller.leave()
    where = one.created.livekit_url, one.created.participant_token
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    program = (sys.executable, "-m", "tests.support.lone_caller", *where)
    process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe, stderr=null)
    try:
        yield Elsewhere(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
