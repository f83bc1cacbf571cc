"""Settings, read once from the environment."""

from typing import Literal

from pydantic import Field

from visavis_runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Everything the recognition worker can be told from outside."""

    engine: Literal["whisper", "fake"] = Field("whisper", validation_alias="VISAVIS_ASR_ENGINE")
    """`whisper` (real, on the CPU, English) or `fake` (scripted)."""
    slots: int = Field(1, validation_alias="VISAVIS_ASR_SLOTS", ge=1, le=64)
    """Items in progress at once. The engine takes one at a time: more only starve replicas.
    A partial transcript is worked on beside them, when nothing else is there to do."""
    threads: int = Field(1, validation_alias="VISAVIS_ASR_THREADS", ge=1, le=64)
    """Threads of the engine. At the short window one beat two (measured): add replicas."""
    window_s: float = Field(8.0, validation_alias="VISAVIS_ASR_WINDOW_S", ge=8.0, le=30.0)
    """Shortest window that the model sees. Under 8 s it errs often; 30 costs four times the CPU."""
    fake_text: str = Field("This is a test.", validation_alias="VISAVIS_ASR_FAKE_TEXT")
    """What the scripted engine understands."""
    fake_confidence: float = Field(1.0, validation_alias="VISAVIS_ASR_FAKE_CONFIDENCE", ge=0, le=1)
    """How sure the scripted engine is of it."""
    fake_delay_s: float = Field(0.0, validation_alias="VISAVIS_ASR_FAKE_DELAY_S", ge=0)
    """How long the scripted engine takes."""
