"""Start the stand-in: settings, log, the LiveKit stage, the server, SIGTERM."""

import asyncio
import signal

import uvloop

from visavis_motion_sim import room
from visavis_motion_sim.server import MotionSim
from visavis_motion_sim.settings import Settings
from visavis_runtime import log, settings

SERVICE = "motion_sim"


async def run(config: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then close all sessions and leave all rooms."""
    # Not the runtime's lifecycle: that one brings a bus, and the stand-in needs none.
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with MotionSim(config, room.join) as sim:
        log.get(__name__).info("service.ready", host=config.host, port=sim.port)
        await stopping.wait()


def main() -> None:
    """Exit status 78 and the variable's name when a setting is missing or wrong."""
    config = settings.load(Settings)
    log.configure(SERVICE, config.log_format)
    uvloop.run(run(config))


if __name__ == "__main__":
    main()
