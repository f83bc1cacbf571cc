"""Every state of the page: its word, its look at each size and scheme, and what axe says."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.chrome import chrome
from tests.browser.looks import photograph, shows
from tests.browser.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120), pytest.mark.slow]


async def _open(browser: Browser, stage: Stage) -> Page:
    page = await browser.new_page()
    await page.goto(stage.url)
    return page


async def test_a_call_from_beginning_to_end(stage: Stage, screenshots: Path) -> None:
    async with chrome() as browser:
        page = await _open(browser, stage)
        await expect(page.get_by_text("an AI, not with a person")).to_be_visible()
        await photograph(page, screenshots, "ready")
        await page.get_by_role("button", name="Start talking").click()
        await shows(page, "listening")
        await photograph(page, screenshots, "listening")
        puppet = stage.puppet
        await puppet.be("initializing")
        await shows(page, "connecting")
        await photograph(page, screenshots, "connecting")
        await puppet.be("listening")
        await page.get_by_role("button", name="Microphone").click()
        await shows(page, "microphone-off")
        await photograph(page, screenshots, "microphone-off")
        await page.get_by_role("button", name="Microphone").click()
        await puppet.hear("p1", "What is worth knowing about", final=False)
        await expect(page.locator(".caption.interim")).to_be_visible()
        await puppet.hear("p1", "What is worth knowing about the moon?")
        await puppet.be("thinking")
        await shows(page, "thinking")
        await photograph(page, screenshots, "thinking")
        words = (
            "The moon goes around us once in twenty-seven days, and it always shows us the same "
            "face. Every year it is almost four centimetres farther away."
        )
        await puppet.say("a1", words, seconds=0.6)
        await puppet.be("listening")
        await puppet.hear("p2", "Why does it always show the same face?")
        answer = "Because it turns around itself exactly as fast as around us."
        speaking = asyncio.create_task(puppet.say("a2", answer, seconds=6.0))
        await shows(page, "speaking")
        await expect(page.get_by_text(answer)).to_be_visible()
        await photograph(page, screenshots, "speaking")
        await speaking
        await page.get_by_role("button", name="End", exact=True).click()
        await shows(page, "ended")
        await photograph(page, screenshots, "ended")
        assert puppet.calls == ["visavis.end"]


async def test_without_a_microphone(stage: Stage, screenshots: Path) -> None:
    async with chrome(deny=True) as browser:
        page = await _open(browser, stage)
        await page.get_by_role("button", name="Start talking").click()
        await shows(page, "microphone-denied")
        await photograph(page, screenshots, "microphone-denied")
        await page.get_by_label("Type to the avatar").fill("Can you read me?")
        await page.keyboard.press("Enter")
        await expect(page.locator(".caption.person")).to_contain_text("Can you read me?")
    async with chrome(device=False) as browser:
        page = await _open(browser, stage)
        await page.get_by_role("button", name="Start talking").click()
        await shows(page, "no-microphone")
        await photograph(page, screenshots, "no-microphone")


async def test_without_a_place_or_with_a_wrong_link(stage: Stage, screenshots: Path) -> None:
    async with chrome() as browser:
        page = await _open(browser, stage)
        stage.refuse = (503, {"Retry-After": "60"})
        await page.get_by_role("button", name="Start talking").click()
        await shows(page, "full")
        await expect(page.get_by_text("The next try is in")).to_be_visible()
        await photograph(page, screenshots, "full")
        stage.refuse = (404, {})
        await page.get_by_role("button", name="Try now").click()
        await shows(page, "link-expired")
        await photograph(page, screenshots, "link-expired")
        stage.refuse = (500, {})
        await page.get_by_role("button", name="Try again").click()
        await shows(page, "failed")
        await photograph(page, screenshots, "failed")
