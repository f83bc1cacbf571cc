"""Pictures of a page in every form it has, and what axe says about it."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Page, expect

from visavis_local.page import install_packages

STOCK = Path(__file__).parent / "stock"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
# Where a wide window is magnified four times (WCAG 1.4.10).
NARROWEST = 320
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# The last transition of the style sheet takes half a second; a picture of its middle shows nothing.
SETTLED = "() => document.getAnimations().every(one => one.effect.getTiming().iterations !== 1)"


async def shows(page: Page, state: str) -> None:
    """Wait until the page is in this state."""
    await expect(page.locator("body")).to_have_attribute("data-state", state, timeout=10_000)


async def photograph(page: Page, folder: Path, name: str) -> None:
    """Four pictures: phone and desktop, light and dark; each form is given to axe too."""
    await page.set_viewport_size({"width": NARROWEST, "height": 568})
    assert await _overflow(page) == 0, f"{name} is wider than {NARROWEST} pixels"
    for scheme in SCHEMES:
        for size, (width, height) in SIZES.items():
            await page.set_viewport_size({"width": width, "height": height})
            await page.emulate_media(color_scheme=scheme)
            await page.wait_for_function(SETTLED)
            await page.screenshot(path=folder / f"{name}-{size}-{scheme}.png")
            assert await _overflow(page) == 0, f"{name} is wider than a {size}"
            assert await violations(page) == [], f"{name}, {size}, {scheme}"


async def violations(page: Page) -> list[str]:
    """What axe finds: rule, element and why, one line each."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_axe())
    found: list[dict[str, Any]] = await page.evaluate("axe.run().then(all => all.violations)")
    return [
        f"{rule['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


@cache
def _axe() -> str:
    install_packages(STOCK)
    return Path(STOCK, "node_modules/axe-core/axe.min.js").read_text()


async def _overflow(page: Page) -> int:
    """How far the furthest element reaches over the right edge, in pixels."""
    # Not those of the ring: a turning arc's box is wider than the arc.
    elements = "[...document.querySelectorAll('main *:not(svg *)')]"
    edges = f"{elements}.map(one => one.getBoundingClientRect().right)"
    return int(await page.evaluate(f"Math.max(0, Math.max(...{edges}) - innerWidth)"))
