"""A call in the page, with an agent on strings: what the person hears, sees and can do."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.looks import photograph, shows
from tests.browser.proxy import line_to
from tests.browser.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90), pytest.mark.slow]

VOICE = "document.documentElement.style.getPropertyValue('--voice')"
FACE = "document.getElementById('face').toDataURL()"
HAS_SPOKEN = """() => new Promise((done) => {
  const style = document.documentElement.style;
  let voiced = 0, before = performance.now();
  const look = (now) => {
    if (parseFloat(style.getPropertyValue("--level")) > 0.15) voiced += Math.min(now - before, 100);
    before = now;
    if (voiced > 300) done(); else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""
"""Resolves when the page has measured twice the voice that makes a turn; beeps take seconds."""
ADAPTER = """
export const DrivingServiceMode = { rtc: "rtc" };
export const AvatarSDK = { initialize: async () => {} };
export const AvatarManager = { shared: { load: async (id) => id } };
export class AvatarView {
  constructor(id, container) { container.textContent = `the vendor's ${id}`; }
}
export class LiveKitProvider {}
export class AvatarPlayer {
  on() {}
  async attach(room) { globalThis.attached = room.state; }
  async detach() { globalThis.attached = "let go"; }
}
"""


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, stage: Stage) -> AsyncIterator[Page]:
    """The page before anything was pressed; whatever it logs as an error fails the test."""
    one = await browser.new_page()
    errors: list[str] = []
    one.on("pageerror", lambda error: errors.append(str(error)))
    await one.goto(stage.url)
    yield one
    await one.close()
    assert errors == []


async def _start(page: Page) -> None:
    await page.get_by_role("button", name="Start talking").click()
    await shows(page, "listening")


async def _until(condition: str, page: Page) -> None:
    # As a function: a string would be evaluated, which the page's policy forbids.
    await page.wait_for_function(f"() => {condition}", timeout=5_000)


async def _called(stage: Stage, method: str) -> None:
    async with asyncio.timeout(5):
        while method not in stage.puppet.calls:
            await asyncio.sleep(0.02)


async def test_the_avatar_is_heard_and_its_mouth_moves(page: Page, stage: Stage) -> None:
    await _start(page)
    await page.evaluate(HAS_SPOKEN)
    speaking = asyncio.create_task(stage.puppet.say("a1", "Hello, I am Nova.", seconds=2.0))
    await _until(f"parseFloat({VOICE}) > 0.2", page)
    await expect(page.locator(".caption.avatar span")).to_have_text("Hello, I am Nova. ")
    await expect(page.get_by_text("answered in")).to_be_visible()
    await speaking
    await expect(page.locator(".caption.interim")).to_have_count(0)


async def test_the_keyboard_alone_is_enough(page: Page, stage: Stage) -> None:
    await page.get_by_role("button", name="Start talking").press("Enter")
    await shows(page, "listening")
    await expect(page.get_by_role("button", name="Microphone")).to_be_focused()
    await page.get_by_label("Type to the avatar").fill("Good evening")
    await page.keyboard.press("Enter")
    await expect(page.locator(".caption.person span")).to_have_text("Good evening")
    async with asyncio.timeout(5):
        while stage.puppet.chats != ["Good evening"]:
            await asyncio.sleep(0.02)
    await stage.puppet.be("speaking")
    await shows(page, "speaking")
    await page.keyboard.press("Escape")
    await _called(stage, "visavis.interrupt")
    await page.get_by_role("button", name="End", exact=True).press("Enter")
    await shows(page, "ended")
    await expect(page.get_by_role("button", name="Talk again")).to_be_focused()
    await expect(page.get_by_text("Good evening")).to_be_visible()


async def test_captions_are_a_log_that_is_not_read_out_and_states_are_polite(
    page: Page, stage: Stage
) -> None:
    await _start(page)
    await stage.puppet.hear("p1", "Good evening")
    log = page.get_by_role("log", name="Captions")
    await expect(log).to_contain_text("Good evening")
    await expect(log).to_have_attribute("aria-live", "off")
    await expect(page.get_by_role("status").first).to_have_text("Listening")


async def test_the_microphone_can_be_switched_off(page: Page) -> None:
    await _start(page)
    microphone = page.get_by_role("button", name="Microphone")
    await expect(microphone).to_have_attribute("aria-pressed", "true")
    await microphone.click()
    await shows(page, "microphone-off")
    await expect(microphone).to_have_attribute("aria-pressed", "false")
    await microphone.click()
    await shows(page, "listening")


async def test_another_character_and_another_conversation(page: Page, stage: Stage) -> None:
    await page.get_by_label("Talk with").select_option("Ada")
    await expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    await _start(page)
    assert stage.asked[-1]["room_config"]["agents"] == [{"agent_name": "ada"}]
    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_role("button", name="Talk again").click()
    await shows(page, "listening")
    assert len(stage.asked) == 2


async def test_a_full_server_is_tried_again_by_itself(page: Page, stage: Stage) -> None:
    stage.refuse = (503, {"Retry-After": "2"})
    await page.get_by_role("button", name="Start talking").click()
    await shows(page, "full")
    stage.refuse = None
    await shows(page, "listening")


async def test_a_broken_connection_is_told_and_comes_back(
    page: Page, stage: Stage, screenshots: Path
) -> None:
    async with line_to(stage.server.url) as line:
        stage.livekit_url = line.url
        await _start(page)
        await stage.puppet.say("a1", "Where were we?", seconds=0.2)
        await stage.puppet.be("listening")
        line.cut()
        await shows(page, "reconnecting")
        await photograph(page, screenshots, "reconnecting")
        line.restore()
        await expect(page.locator("body")).to_have_attribute(
            "data-state", "listening", timeout=20_000
        )
        await stage.puppet.say("a2", "Here we are.", seconds=0.2)
        await expect(page.get_by_text("Here we are.")).to_be_visible()
        await page.get_by_role("button", name="End", exact=True).click()
        await shows(page, "ended")


async def test_an_agent_that_goes_away_with_its_room(page: Page, stage: Stage) -> None:
    from livekit import api

    await _start(page)
    server = stage.server
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
        name = stage.puppet.caller.room.name
        await livekit.room.delete_room(api.DeleteRoomRequest(room=name))
    await shows(page, "ended")


async def test_the_vendors_face_in_our_room(page: Page, stage: Stage, screenshots: Path) -> None:
    stage.modules = {"adapter.js": ADAPTER}
    stage.facts["adapter_url"] = "/modules/adapter.js"
    await page.reload()
    await _start(page)
    await expect(page.get_by_text("the vendor's sim-avatar")).to_be_visible()
    assert await page.evaluate("globalThis.attached") == "disconnected"
    speaking = asyncio.create_task(stage.puppet.say("a1", "Hello.", seconds=1.0))
    await _until(f"parseFloat({VOICE}) > 0.2", page)
    await speaking
    await page.get_by_role("button", name="End", exact=True).click()
    await _until("globalThis.attached === 'let go'", page)
    await expect(page.locator("#face")).to_be_visible()


async def test_a_vendors_face_that_does_not_load_is_replaced_openly(
    page: Page, stage: Stage, screenshots: Path
) -> None:
    stage.facts["adapter_url"] = "/modules/missing.js"
    await page.reload()
    await _start(page)
    await expect(page.get_by_text("The avatar could not be loaded.")).to_be_visible()
    await expect(page.locator("#face")).to_be_visible()
    await photograph(page, screenshots, "face-fallback")


async def test_without_a_canvas_there_is_a_still_portrait(
    page: Page, stage: Stage, screenshots: Path
) -> None:
    await page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    await page.reload()
    await expect(page.get_by_alt_text("Drawn portrait")).to_be_visible()
    await _start(page)
    await photograph(page, screenshots, "still")


async def test_reduced_motion_stills_the_face(page: Page) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await asyncio.sleep(0.3)
    before = await page.evaluate(FACE)
    await asyncio.sleep(0.5)
    assert await page.evaluate(FACE) == before
    await page.emulate_media(reduced_motion="no-preference")
    await _until(f"{FACE} !== {before!r}", page)
