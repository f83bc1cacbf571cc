"""What the end-to-end tests share: one running system a module, everything in one event loop."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.conversation import World, running_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """All servers and services with a scripted language model and an avatar in the room."""
    async with running_world() as one:
        yield one
