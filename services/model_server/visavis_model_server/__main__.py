"""The embedded model server: `python -m visavis_model_server`."""

import asyncio
import signal

from visavis_model_server import front, llama
from visavis_model_server.settings import ModelServerSettings
from visavis_model_server.weights import NAME, weights
from visavis_runtime import log
from visavis_runtime.settings import load


async def serve(settings: ModelServerSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    logger = log.get("model_server")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.to_thread(llama.start, weights(), NAME, settings)
    logger.info("model.loaded", model=NAME, slots=settings.slots, threads=settings.threads)
    await front.serve(
        server.listening_address,
        host=settings.host,
        port=settings.port,
        slots=settings.slots,
        stop=stop,
    )
    logger.info("service.stopped")


def main() -> None:
    """Read the settings and serve."""
    settings = load(ModelServerSettings)
    log.configure("model-server", settings.log_format)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
