"""A spoken conversation in the page with everything behind it real."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.chrome import chrome
from tests.browser.spoken import spoken
from tests.browser.stock_page import build_stock, serving_stock
from tests.support.barge_in import NEW, OLD
from tests.support.conversation import World, running_world
from tests.support.openai_server import Reply
from tests.support.words import word_error_rate
from visavis_local.ports import free_port

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(150),
    pytest.mark.audio,
    pytest.mark.slow,
]

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
SEA = "Tell me something about the animals in the sea."
STOP = "Stop, stop. I would rather know what a mouse is."
LINES = ((6.0, FRANCE), (15.0, SEA), (23.5, STOP))
VOICE = "parseFloat(document.documentElement.style.getPropertyValue('--voice'))"
PLAYS = "() => [...document.querySelectorAll('audio')].some(one => !one.paused && one.currentTime)"


@dataclass(frozen=True)
class Front:
    """The addresses of our page and of the stock front end, and what stands behind them."""

    world: World
    stock: str

    @property
    def url(self) -> str:
        return self.world.stack.layout.page_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(page_built: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    folder = await asyncio.to_thread(build_stock, tmp_path_factory.mktemp("stock"))
    port = free_port()
    # One place only, so that a second person finds it taken.
    settings = {"VISAVIS_HTTP_ORIGINS": f"http://127.0.0.1:{port}", "VISAVIS_SESSION_SLOTS": "1"}
    async with running_world(settings) as world, serving_stock(folder, port) as stock:
        yield Front(world, f"{stock}/?endpoint={world.stack.layout.page_url}/token")


async def _is(page: Page, state: str, within_s: float = 15) -> None:
    await expect(page.locator("body")).to_have_attribute(
        "data-state", state, timeout=within_s * 1000
    )


async def _caption(page: Page, who: str, number: int, within_s: float = 20) -> str:
    """The words of somebody's caption once it is complete."""
    line = page.locator(f".caption.{who}").nth(number)
    await expect(line).to_be_visible(timeout=within_s * 1000)
    await expect(line).not_to_have_class("interim", timeout=within_s * 1000)
    return (await line.locator("span").text_content() or "").strip()


async def test_a_spoken_conversation(front: Front, tmp_path: Path, screenshots: Path) -> None:
    front.world.model.replies.extend((Reply(PARIS), Reply(OLD), Reply(NEW), Reply(OLD)))
    async with chrome(spoken(tmp_path, LINES)) as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"{front.url}/?character=ada")
        await page.get_by_role("button", name="Start talking").click()
        await _is(page, "listening")
        await _hears_an_answer(page)
        await _interrupts_by_voice(page, screenshots)
        await _types_and_interrupts_by_key(page)
        await page.get_by_role("button", name="End", exact=True).click()
        await _is(page, "ended")


async def _hears_an_answer(page: Page) -> None:
    await page.wait_for_function(f"() => {VOICE} > 0.1", timeout=20_000)
    assert word_error_rate(FRANCE, await _caption(page, "person", 0)) <= 0.4
    await expect(page.get_by_text("answered in")).to_be_visible()
    await expect(page.locator(".caption.avatar").first).to_contain_text(PARIS, timeout=10_000)
    await _is(page, "listening")


async def _interrupts_by_voice(page: Page, screenshots: Path) -> None:
    await _is(page, "speaking", 20)
    await asyncio.sleep(2)
    await page.screenshot(path=screenshots / "conversation-desktop-light.png")
    await expect(page.locator(".caption.avatar").nth(2)).to_contain_text(NEW, timeout=25_000)
    assert OLD not in await _caption(page, "avatar", 1)


async def _types_and_interrupts_by_key(page: Page) -> None:
    await _is(page, "listening")
    await page.get_by_label("Type to the avatar").fill("And what is a whale?")
    await page.keyboard.press("Enter")
    await _is(page, "speaking")
    await expect(page.locator(".caption.avatar").nth(3)).to_be_visible()
    await page.keyboard.press("Escape")
    await _is(page, "listening", 5)
    assert OLD not in await _caption(page, "avatar", 3)
    await expect(page.locator(".caption.person", has_text="what is a whale")).to_have_count(1)


async def test_a_taken_place_a_reload_and_the_next_person(front: Front) -> None:
    async with chrome(deny=True) as browser:
        first, second = await browser.new_page(), await browser.new_page()
        session = await _begin(front, first)
        await second.goto(front.url)
        await second.get_by_role("button", name="Start talking").click()
        await _is(second, "full")
        await first.reload()
        assert await _begin(front, first) == session, "a reload is not another conversation"
        await first.get_by_role("button", name="End", exact=True).click()
        await _is(first, "ended")
        await _is(second, "microphone-denied", 30)
        await second.get_by_role("button", name="End", exact=True).click()
        await _is(second, "ended")


async def _begin(front: Front, page: Page) -> str:
    """Start without a microphone; the id of the session."""
    await page.goto(f"{front.url}/?character=ada")
    async with page.expect_response("**/token") as answer:
        await page.get_by_role("button", name="Start talking").click()
    await _is(page, "microphone-denied")
    return str((await (await answer.value).json())["visavis"]["session_id"])


async def test_a_wrong_link(front: Front) -> None:
    async with chrome() as browser:
        page = await browser.new_page()
        await page.goto(f"{front.url}/?character=nobody")
        await page.get_by_role("button", name="Start talking").click()
        await _is(page, "link-expired")


async def test_a_stock_front_end_finds_everything(front: Front, tmp_path: Path) -> None:
    front.world.model.replies.extend((Reply(PARIS), Reply(NEW)))
    async with chrome(spoken(tmp_path, [(6.0, FRANCE)])) as browser:
        page = await browser.new_page()
        await page.goto(front.stock)
        await expect(page.locator("#agent")).to_contain_text("agent-", timeout=15_000)
        await expect(page.locator("#state")).to_have_text("listening", timeout=10_000)
        await expect(page.locator("#state")).to_have_text("speaking", timeout=20_000)
        # The avatar publishes on behalf of the agent, and its sound is found as the agent's.
        await expect(page.locator("#sound")).to_contain_text("avatar-")
        await page.wait_for_function(PLAYS)
        await expect(page.locator("#words")).to_contain_text(PARIS, timeout=10_000)
        await expect(page.locator("#words")).to_contain_text(re.compile("person-.*France", re.I))
        await expect(page.locator("#state")).to_have_text("listening", timeout=10_000)
        await page.get_by_role("button", name="Ask by chat").click()
        await expect(page.locator("#words")).to_contain_text(NEW, timeout=15_000)
