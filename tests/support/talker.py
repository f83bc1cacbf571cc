"""A person in a room as a process of its own, to be frozen: says a tone, or nothing.

`python -m tests.support.talker URL TOKEN SECONDS`: a tone of so many seconds, then as long nothing.
"""

import asyncio
import sys
import time

import numpy as np

from tests.support.caller import Caller

RATE_HZ = 16_000


async def main(url: str, token: str, seconds: float) -> None:
    """Until killed."""
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = (np.sin(at * 440 * 2 * np.pi) * 12_000).astype(np.int16)
    async with await Caller.join(url, token) as caller:
        while True:
            if seconds:
                await caller.speak_samples(tone, RATE_HZ)
            print(f"{time.monotonic():.3f}", flush=True)
            await asyncio.sleep(seconds or 60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
