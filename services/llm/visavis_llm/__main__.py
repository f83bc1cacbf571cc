"""Start the language model worker: settings, engine, work loop."""

import asyncio
import secrets

from visavis_llm.engine import ChatModel
from visavis_llm.fake import FakeChatModel
from visavis_llm.scorer import Scorer
from visavis_llm.settings import Settings
from visavis_llm.worker import STAGE, Worker, parse
from visavis_runtime import lifecycle
from visavis_runtime.bus import Bus
from visavis_runtime.health import Health
from visavis_runtime.settings import load
from visavis_runtime.stage import Stage


def engine(config: Settings) -> ChatModel:
    """The engine that the settings name."""
    if config.engine == "fake":
        return FakeChatModel(
            config.fake_text,
            first_token_s=config.fake_first_token_s,
            token_s=config.fake_token_s,
        )
    from visavis_llm.openai_chat import OpenAIChatModel  # its libraries are an optional extra

    return OpenAIChatModel(
        config.base_url,
        config.model,
        config.api_key.get_secret_value(),
        continuation=config.continuation,
        keepalive_connections=config.keepalive_connections,
        timeouts_s=(config.connect_timeout_s, config.token_timeout_s),
    )


def main() -> None:
    """Exit status 78 and the variable's name when a setting is missing or wrong."""
    config = load(Settings)

    async def serve(bus: Bus, state: Health, stopping: asyncio.Event) -> None:
        model = engine(config)
        state.check("model", model.ready)
        worker = Worker(bus, model, secrets.token_hex(8))
        stage = Stage(STAGE, bus, parse, slots=config.slots)
        try:
            async with Scorer(model, config.score_slots).serving(bus):
                await stage.run(worker.handle, worker.fail, stopping)
        finally:
            await model.aclose()

    lifecycle.run(STAGE, config, serve)


if __name__ == "__main__":
    main()
