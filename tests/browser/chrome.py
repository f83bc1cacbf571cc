"""Chromium with a spoken WAV as its microphone."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Playwright, async_playwright

# Debian's wrapper on PATH adds flags and prints an error; this is the program itself.
DEBIAN = Path("/usr/lib/chromium/chromium")
APT = "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium"
WAYS = (f"apt-get update -q && {APT}", f"{sys.executable} -m playwright install chromium")


def chromium(playwright: Playwright) -> Path:
    """Debian's Chromium, else Playwright's own; installed where there is none.

    FileNotFoundError: every way to get one, and why it did not work.
    """
    own = Path(playwright.chromium.executable_path)
    problems = []
    for way in ("", *(WAYS if _is_root_with_apt() else WAYS[1:])):
        if way:
            done = subprocess.run(["sh", "-c", way], capture_output=True, text=True)
            problems.append(f"{way}: status {done.returncode}: {done.stderr.strip()[-300:]}")
        if found := next((path for path in (DEBIAN, own) if path.exists()), None):
            return found
    raise FileNotFoundError("no Chromium to test the page with\n" + "\n".join(problems))


def _is_root_with_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


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
        program = await asyncio.to_thread(chromium, playwright)
        browser = await playwright.chromium.launch(executable_path=program, args=flags)
        try:
            yield browser
        finally:
            await browser.close()
