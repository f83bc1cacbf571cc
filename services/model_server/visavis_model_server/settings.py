"""Settings of the embedded model server."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SCORE_SLOTS = 1
"""Beside the answers in progress, for plain completions of one token: they do not wait (waiting for
an answer's end took 4.8 s, in a place of their own 40 ms)."""


class ModelServerSettings(BaseSettings):
    """Read once from the environment; it knows no bus, so it has none of the services' settings."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    host: str = Field("127.0.0.1", validation_alias="VISAVIS_MODEL_SERVER_HOST")
    """Where it listens."""
    port: int = Field(validation_alias="VISAVIS_MODEL_SERVER_PORT")
    """Its port: /v1/chat/completions, /v1/completions, /health, /metrics."""
    slots: int = Field(4, ge=1, validation_alias="VISAVIS_MODEL_SERVER_SLOTS")
    """Answers generated at the same time."""
    threads: int = Field(1, ge=1, validation_alias="VISAVIS_MODEL_SERVER_THREADS")
    """Threads that compute; more gain little with a model this small."""
    context_tokens: int = Field(4096, validation_alias="VISAVIS_MODEL_SERVER_CONTEXT_TOKENS")
    """Prompt and answer of one slot; 23 kB of memory a token."""
    log_format: str = Field("console", validation_alias="VISAVIS_LOG_FORMAT")
    """`console` or `json`."""
