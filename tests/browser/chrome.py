"""Chromium with a spoken WAV as its microphone."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Playwright, async_playwright

# Debian's wrapper on PATH adds flags and prints an error; this is the program itself.
DEBIAN = Path("/usr/lib/chromium/chromium")
MISSING = (
    "no Chromium: apt-get install --no-install-recommends chromium, "
    "or: .venv/bin/playwright install chromium"
)


def chromium(playwright: Playwright) -> Path:
    """Debian's Chromium, else Playwright's own. FileNotFoundError says what to install."""
    candidates = [DEBIAN, Path(playwright.chromium.executable_path)]
    candidates += [Path(found) for name in ("google-chrome",) if (found := shutil.which(name))]
    for program in candidates:
        if program.exists():
            return program
    raise FileNotFoundError(MISSING)


@asynccontextmanager
async def chrome(
    wav: Path | None = None, *, deny: bool = False, device: bool = True
) -> AsyncIterator[Browser]:
    """A browser; `wav` is said once when the microphone opens, None is a beep now and then.

    `deny`: the person refuses the microphone. `device` False: there is none.
    """
    flags = [
        "--disable-gpu",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream" + ("=deny" if deny else ""),
    ]
    if device:
        flags.append("--use-fake-device-for-media-stream")
    if wav:
        flags.append(f"--use-file-for-fake-audio-capture={wav}%noloop")
    async with async_playwright() as playwright:
        program = chromium(playwright)
        browser = await playwright.chromium.launch(executable_path=program, args=flags)
        try:
            yield browser
        finally:
            await browser.close()
