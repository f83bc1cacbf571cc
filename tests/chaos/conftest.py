"""What the tests of single failures share: a system with a fixed recognition, one a module."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.conversation import World, running_world
from tests.support.replicas import Replicas, replicas

WORDS = "Tell me some more about it."
SETTINGS = {"VISAVIS_ASR_ENGINE": "fake", "VISAVIS_ASR_FAKE_TEXT": WORDS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """All servers and services, a scripted language model, an avatar in the room."""
    async with running_world(SETTINGS) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(world: World) -> AsyncIterator[Replicas]:
    """For second replicas of the same system."""
    async with replicas(world.stack, SETTINGS) as one:
        yield one
