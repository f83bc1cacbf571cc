"""Start the synthesis worker: settings, engine, work loop."""

import asyncio

from visavis_runtime import lifecycle
from visavis_runtime.bus import Bus
from visavis_runtime.health import Health
from visavis_runtime.settings import load
from visavis_runtime.stage import Stage
from visavis_tts.engine import Synthesizer
from visavis_tts.fake import FakeSynthesizer
from visavis_tts.settings import Settings
from visavis_tts.worker import STAGE, Worker, parse


def engine(config: Settings) -> Synthesizer:
    """The engine that the settings name."""
    if config.engine == "fake":
        voices = [name.strip() for name in config.fake_voices.split(",")]
        return FakeSynthesizer(voices, delay_s=config.fake_delay_s)
    from visavis_tts.hibari_voice import HibariSynthesizer  # its library is an optional extra

    return HibariSynthesizer(threads=config.threads)


def main() -> None:
    """Exit status 78 and the variable's name when a setting is missing or wrong."""
    config = load(Settings)

    async def serve(bus: Bus, state: Health, stopping: asyncio.Event) -> None:
        synthesizer = engine(config)
        state.check("model", synthesizer.ready)
        await synthesizer.warm()
        worker = Worker(bus, synthesizer)
        stage = Stage(STAGE, bus, parse, slots=config.slots)
        try:
            await stage.run(worker.handle, worker.fail, stopping)
        finally:
            synthesizer.close()

    lifecycle.run(STAGE, config, serve)


if __name__ == "__main__":
    main()
