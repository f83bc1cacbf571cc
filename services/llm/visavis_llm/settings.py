"""Settings, read once from the environment."""

from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from visavis_runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Everything the language model worker can be told from outside."""

    engine: Literal["openai", "fake"] = Field("openai", validation_alias="VISAVIS_LLM_ENGINE")
    """`openai` (any server that speaks its chat dialect: vLLM, llama.cpp) or `fake` (scripted)."""
    base_url: str = Field("", validation_alias="VISAVIS_LLM_BASE_URL", validate_default=True)
    """The server's address up to and with `/v1`. Needed by the engine `openai`."""
    model: str = Field("", validation_alias="VISAVIS_LLM_MODEL", validate_default=True)
    """The model's name at the server. Needed by the engine `openai`."""
    api_key: SecretStr = Field(SecretStr(""), validation_alias="VISAVIS_LLM_API_KEY")
    """Sent as a bearer token; empty: none."""
    continuation: Literal["none", "llamacpp", "vllm"] = Field(
        "none", validation_alias="VISAVIS_LLM_CONTINUE"
    )
    """How the server goes on with a half answer after a worker's death or a cut connection.

    `llamacpp`: by a trailing assistant message. `vllm`: by that and `continue_final_message`.
    `none`: not at all, the answer ends after the sentences that exist; the safe choice for a
    server that would begin a second answer.
    """
    slots: int = Field(4, validation_alias="VISAVIS_LLM_SLOTS", ge=1, le=256)
    """Answers in progress at once; more than the server works on at once only wait there."""
    score_slots: int = Field(4, validation_alias="VISAVIS_LLM_SCORE_SLOTS", ge=0, le=256)
    """Questions whether a person has finished, asked of the model at once; more are turned away at
    once, and 0 answers none. They do not wait for answers in progress and are not counted in
    `slots`: the server needs room beside them (the embedded one has a place for one at a time,
    which a question holds for some ten milliseconds)."""
    keepalive_connections: int = Field(
        0, validation_alias="VISAVIS_LLM_KEEPALIVE_CONNECTIONS", ge=0, le=256
    )
    """Idle connections kept for the next answer. 0 because llama.cpp's server drops them after a
    response, unannounced (measured); worth setting where a connection costs a TLS handshake."""
    connect_timeout_s: float = Field(2.0, validation_alias="VISAVIS_LLM_CONNECT_TIMEOUT_S", gt=0)
    """Longest wait for a connection."""
    token_timeout_s: float = Field(8.0, validation_alias="VISAVIS_LLM_TOKEN_TIMEOUT_S", gt=0)
    """Longest wait for the first token, and between two."""
    fake_text: str = Field(
        "This is the first sentence. Here is another one.", validation_alias="VISAVIS_LLM_FAKE_TEXT"
    )
    """What the scripted engine answers."""
    fake_first_token_s: float = Field(0.0, validation_alias="VISAVIS_LLM_FAKE_FIRST_TOKEN_S", ge=0)
    """How long the scripted engine takes to its first word."""
    fake_token_s: float = Field(0.0, validation_alias="VISAVIS_LLM_FAKE_TOKEN_S", ge=0)
    """How long it takes between two words."""

    @field_validator("base_url", "model")
    @classmethod
    def _needed_by_openai(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("engine") == "openai":
            # A default's error does not name the variable by itself.
            variable = f"VISAVIS_LLM_{str(info.field_name).upper()}"
            raise ValueError(f"{variable}: missing; the engine `openai` needs it")
        return value.rstrip("/")
