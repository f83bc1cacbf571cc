"""A program: data packets into a room, so many a second, for so long.

Apart from the tests, whose own event loop it would slow down:
python -m tests.support.data_flood URL TOKEN PER_SECOND SECONDS; prints how many it has sent.
"""

import asyncio
import sys
import time

from livekit import rtc

SLICE_S = 0.02
PAYLOAD = bytes(200)


async def flood(room: rtc.Room, per_second: int, seconds: float) -> int:
    """Send as many, reliable and lossy by turns, at an even pace; how many they were."""
    began = time.monotonic()
    sent = 0
    while (passed := time.monotonic() - began) < seconds:
        due = round(passed * per_second)
        for number in range(sent, due):
            await room.local_participant.publish_data(
                PAYLOAD, reliable=bool(number % 2), topic="flood"
            )
        sent = max(sent, due)
        await asyncio.sleep(SLICE_S)
    return sent


async def main(url: str, token: str, per_second: int, seconds: float) -> None:
    """Join, flood, leave."""
    room = rtc.Room()
    await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
    try:
        print(await flood(room, per_second, seconds), flush=True)
    finally:
        await room.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
