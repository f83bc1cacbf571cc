"""A program: a person on a machine of their own, who can be killed or frozen.

python -m tests.support.lone_caller URL TOKEN; the path of a WAV file on stdin is said aloud as soon
as the agent listens; "saying" is printed before and "said" afterwards.
"""

import asyncio
import sys
from pathlib import Path

from tests.support.caller import POLL_S, Caller, rejoined


async def main(url: str, token: str) -> None:
    """Be there until stdin ends, in again whenever the connection is lost."""
    caller = await Caller.join(url, token)
    while line := await asyncio.to_thread(sys.stdin.readline):
        while not (caller.is_connected and caller.observed.agent_state == "listening"):
            caller = await rejoined(caller, url, token)
            await asyncio.sleep(POLL_S)
        print("saying", flush=True)
        await caller.speak(Path(line.strip()))
        print("said", flush=True)
    await caller.leave()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
