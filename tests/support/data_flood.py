"""A program: data packets into a room, so many a second, for so long.

Apart from the tests, whose own event loop it would slow down:
python -m tests.support.data_flood URL TOKEN PER_SECOND SECONDS; prints how many it has sent.
"""

import asyncio
import sys
import time

from tests.support.caller import Caller

SLICE_S = 0.02
PAYLOAD = bytes(200)


async def flood(caller: Caller, per_second: int, seconds: float) -> int:
    """Send as many, reliable and lossy by turns, at an even pace; how many they were."""
    began = time.monotonic()
    sent = 0
    while (passed := time.monotonic() - began) < seconds:
        due = round(passed * per_second)
        for number in range(sent, due):
            await caller.room.local_participant.publish_data(
                PAYLOAD, reliable=bool(number % 2), topic="flood"
            )
        sent = max(sent, due)
        await asyncio.sleep(SLICE_S)
    return sent


async def main(url: str, token: str, per_second: int, seconds: float) -> None:
    """Join, flood, leave."""
    async with await Caller.join(url, token, microphone=False) as caller:
        print(await flood(caller, per_second, seconds), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
