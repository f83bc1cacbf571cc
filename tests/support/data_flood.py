"""A program: data packets into a room, so many, at a pace.

Apart from the tests, whose own event loop it would slow down:
python -m tests.support.data_flood URL TOKEN PACKETS PER_SECOND; prints how many seconds it took.
"""

import asyncio
import sys
import time

from tests.support.caller import Caller

SLICE_S = 0.02
PAYLOAD = bytes(200)


async def flood(caller: Caller, packets: int, per_second: int) -> float:
    """Send them all, reliable and lossy by turns, at an even pace; the seconds it took.

    Where the machine cannot keep the pace it takes longer: what has arrived is the same.
    """
    began = time.monotonic()
    for number in range(packets):
        await caller.room.local_participant.publish_data(
            PAYLOAD, reliable=bool(number % 2), topic="flood"
        )
        ahead_s = number / per_second - (time.monotonic() - began)
        if ahead_s > SLICE_S:
            await asyncio.sleep(ahead_s)
    return time.monotonic() - began


async def main(url: str, token: str, packets: int, per_second: int) -> None:
    """Join, flood, leave."""
    async with await Caller.join(url, token, microphone=False) as caller:
        print(await flood(caller, packets, per_second), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
