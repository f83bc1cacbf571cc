"""Settings, read once from the environment."""

from typing import Literal

from pydantic import Field

from visavis_runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Everything the synthesis worker can be told from outside."""

    engine: Literal["hibari", "fake"] = Field("hibari", validation_alias="VISAVIS_TTS_ENGINE")
    """`hibari` (real, on the CPU, English, voice `heart`) or `fake` (tones)."""
    slots: int = Field(1, validation_alias="VISAVIS_TTS_SLOTS", ge=1, le=64)
    """Items in progress at once. The engine takes one at a time: more only starve replicas."""
    threads: int = Field(1, validation_alias="VISAVIS_TTS_THREADS", ge=1, le=64)
    """Threads of the engine. Hibari is no faster with two (measured): add replicas."""
    fake_voices: str = Field("heart", validation_alias="VISAVIS_TTS_FAKE_VOICES")
    """Voices of the scripted engine, separated by commas."""
    fake_delay_s: float = Field(0.0, validation_alias="VISAVIS_TTS_FAKE_DELAY_S", ge=0)
    """How long the scripted engine takes before each piece."""
