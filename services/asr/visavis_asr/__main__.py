"""Start the recognition worker: settings, engine, work loop."""

import asyncio

from visavis_asr.engine import Transcriber, Transcription
from visavis_asr.fake import FakeTranscriber
from visavis_asr.settings import Settings
from visavis_asr.worker import STAGE, Worker, parse
from visavis_runtime import lifecycle
from visavis_runtime.bus import Bus
from visavis_runtime.health import Health
from visavis_runtime.settings import load
from visavis_runtime.stage import Stage


def engine(config: Settings) -> Transcriber:
    """The engine that the settings name."""
    if config.engine == "fake":
        script = [Transcription(config.fake_text, 0.0, config.fake_confidence)]
        return FakeTranscriber(script, delay_s=config.fake_delay_s)
    from visavis_asr.whisper import WhisperTranscriber  # its libraries are an optional extra

    return WhisperTranscriber(threads=config.threads, window_s=config.window_s)


def main() -> None:
    """Exit status 78 and the variable's name when a setting is missing or wrong."""
    config = load(Settings)

    async def serve(bus: Bus, state: Health, stopping: asyncio.Event) -> None:
        transcriber = engine(config)
        state.check("model", transcriber.ready)
        await transcriber.warm()
        worker = Worker(bus, transcriber)
        stage = Stage(STAGE, bus, parse, slots=config.slots)
        try:
            await stage.run(worker.handle, worker.fail, stopping, worker.wanted)
        finally:
            worker.close()
            transcriber.close()

    lifecycle.run(STAGE, config, serve)


if __name__ == "__main__":
    main()
