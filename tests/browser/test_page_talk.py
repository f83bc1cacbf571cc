"""Push-to-talk in the page, by pointer, finger, key and screen reader; captions that change."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.looks import photograph, shows
from tests.browser.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90), pytest.mark.slow]

START, END = "visavis.turn start", "visavis.turn end"


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, stage: Stage) -> AsyncIterator[Page]:
    """In a session of push-to-talk; whatever the page logs as an error fails the test."""
    stage.profile = "manual"
    one = await browser.new_page(has_touch=True)
    errors: list[str] = []
    one.on("pageerror", lambda error: errors.append(str(error)))
    await one.goto(stage.url)
    await one.get_by_role("button", name="Start talking").press("Enter")
    await shows(one, "your-turn")
    yield one
    await one.close()
    assert errors == []


def _button(page: Page) -> Locator:
    return page.get_by_role("button", name="Hold to talk")


async def _is_held(page: Page, held: bool) -> None:
    await expect(_button(page)).to_have_attribute("aria-pressed", str(held).lower())
    await shows(page, "listening" if held else "your-turn")


async def _called(stage: Stage, *calls: str) -> None:
    """Exactly these, in this order."""
    async with asyncio.timeout(5):
        while len(stage.puppet.calls) < len(calls):
            await asyncio.sleep(0.02)
    assert stage.puppet.calls == list(calls)


async def test_the_pointer_holds_it_even_if_it_slides_off(page: Page, stage: Stage) -> None:
    await _button(page).hover()
    await page.mouse.down()
    await _is_held(page, True)
    await _called(stage, START)
    await page.mouse.move(5, 5)
    await _is_held(page, True)
    await page.mouse.up()
    await _is_held(page, False)
    await _called(stage, START, END)


@pytest.mark.parametrize("key", ["Space", "Enter"])
async def test_a_key_holds_it_from_the_first_moment(page: Page, stage: Stage, key: str) -> None:
    await expect(_button(page)).to_be_focused()
    await page.keyboard.down(key)
    await page.keyboard.down(key)  # the keyboard repeats it
    await _is_held(page, True)
    await page.keyboard.up(key)
    await _is_held(page, False)
    await _called(stage, START, END)


async def test_a_key_that_is_held_when_focus_goes_is_let_go(page: Page, stage: Stage) -> None:
    await page.keyboard.down("Space")
    await _is_held(page, True)
    await page.get_by_label("Type to the avatar").focus()
    await _is_held(page, False)
    await page.keyboard.up("Space")
    await _called(stage, START, END)


async def test_a_finger_holds_it_until_the_browser_takes_it_away(page: Page, stage: Stage) -> None:
    box = await _button(page).bounding_box()
    assert box
    assert box["height"] >= 48
    point = {"x": box["x"] + 20, "y": box["y"] + 20}
    touch = await page.context.new_cdp_session(page)

    async def send(kind: str, *points: dict[str, float]) -> None:
        await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    await send("touchStart", point)
    await _is_held(page, True)
    await send("touchMove", {"x": point["x"], "y": point["y"] - 200})
    await _is_held(page, True)
    await send("touchEnd")
    await _is_held(page, False)
    await send("touchStart", point)
    await _is_held(page, True)
    await send("touchCancel")
    await _is_held(page, False)
    await _called(stage, START, END, START, END)


async def test_a_screen_reader_presses_it_and_lets_it_go(page: Page, stage: Stage) -> None:
    await expect(_button(page)).to_have_accessible_description(
        "Hold it with the pointer, Space or Enter while you speak. Let go when you are done."
    )
    # What an assistive technology does: a click, and no press before it.
    await _button(page).evaluate("button => button.click()")
    await _is_held(page, True)
    await _button(page).evaluate("button => button.click()")
    await _is_held(page, False)
    await _called(stage, START, END)


async def test_without_a_microphone_there_is_nothing_to_hold(page: Page, stage: Stage) -> None:
    await page.keyboard.down("Space")
    await _is_held(page, True)
    await page.get_by_role("button", name="Microphone").click()
    await shows(page, "microphone-off")
    await expect(_button(page)).to_be_disabled()
    await _called(stage, START, END)
    await page.get_by_role("button", name="Microphone").click()
    await shows(page, "your-turn")
    await expect(_button(page)).to_be_enabled()


async def test_the_avatar_may_be_interrupted_by_holding(page: Page, stage: Stage) -> None:
    await stage.puppet.be("speaking")
    await shows(page, "speaking")
    await page.keyboard.down("Space")
    await _called(stage, START)
    await expect(page.get_by_role("status").first).to_have_text("Speaking")
    await stage.puppet.be("listening")
    await _is_held(page, True)
    await page.keyboard.up("Space")
    await _is_held(page, False)


async def test_how_it_looks(page: Page, stage: Stage, screenshots: Path) -> None:
    await expect(page.get_by_text("Hold the button while you speak, or type.")).to_be_visible()
    await photograph(page, screenshots, "your-turn")
    await page.keyboard.down("Space")
    await stage.puppet.hear("p1", "What is worth knowing about", final=False)
    await expect(page.locator(".caption.person.interim")).to_be_visible()
    await _is_held(page, True)
    await photograph(page, screenshots, "held")
    await page.keyboard.up("Space")


async def test_a_session_that_listens_by_itself_has_no_such_button(
    browser: Browser, stage: Stage
) -> None:
    page = await browser.new_page()
    await page.goto(stage.url)
    await page.get_by_role("button", name="Start talking").click()
    await shows(page, "listening")
    await expect(_button(page)).to_be_hidden()
    await expect(page.get_by_role("button", name="Microphone")).to_be_focused()
    await page.close()


async def test_words_that_are_guessed_look_so_and_are_replaced(page: Page, stage: Stage) -> None:
    line = page.locator(".caption.person")
    words = line.locator("span")
    await stage.puppet.hear("p1", "What is", final=False)
    await stage.puppet.hear("p1", "What is worth", final=False)
    await expect(words).to_have_text("What is worth")
    assert await words.evaluate("one => getComputedStyle(one).fontStyle") == "italic"
    await stage.puppet.hear("p1", "What is worth knowing?")
    await expect(words).to_have_text("What is worth knowing?")
    await expect(page.locator(".caption.interim")).to_have_count(0)
    assert await words.evaluate("one => getComputedStyle(one).fontStyle") == "normal"
    await stage.puppet.hear("p2", "Hm", final=False)
    await expect(line).to_have_count(2)
    await stage.puppet.hear("p2", "")
    await expect(line).to_have_count(1)
