"""What the browser tests share: the built page, a LiveKit server, the stage."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.chrome import chrome
from tests.browser.stage import Stage, running_stage
from tests.support.servers import running_livekit
from visavis_local.page import build_page
from visavis_local.places import CACHE


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures go: outside the checkout, VISAVIS_SCREENSHOTS or the cache folder."""
    folder = Path(os.environ.get("VISAVIS_SCREENSHOTS") or CACHE / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def page_built() -> None:
    """The page as its sources are now."""
    build_page()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole_stage(page_built: None) -> AsyncIterator[Stage]:
    """A LiveKit server and the page's server."""
    async with running_livekit() as server, running_stage(server) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(whole_stage: Stage) -> AsyncIterator[Stage]:
    """The same, with nobody on it."""
    yield whole_stage
    await whole_stage.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests of a file, with a beeping microphone."""
    async with chrome() as one:
        yield one
