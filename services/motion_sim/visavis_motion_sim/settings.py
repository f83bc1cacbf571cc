"""Settings, read once from the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything the stand-in can be told from outside. It needs no bus."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    api_key: SecretStr = Field(validation_alias="VISAVIS_MOTION_SIM_API_KEY", min_length=1)
    """What `X-Api-Key` must carry."""
    app_id: str = Field("sim-app", validation_alias="VISAVIS_MOTION_SIM_APP_ID")
    """What `X-App-ID` or `appId` must carry."""
    avatar_ids: str = Field("sim-avatar", validation_alias="VISAVIS_MOTION_SIM_AVATAR_IDS")
    """Known avatars, separated by commas; any other is "avatar not found"."""
    host: str = Field("127.0.0.1", validation_alias="VISAVIS_MOTION_SIM_HOST")
    """Address to listen on."""
    port: int = Field(8790, validation_alias="VISAVIS_MOTION_SIM_PORT", ge=0, le=65535)
    """Console, ingress, control and health share this port. 0 = any free one."""
    idle_timeout_s: float = Field(60.0, validation_alias="VISAVIS_MOTION_SIM_IDLE_TIMEOUT_S", gt=0)
    """Without audio for this long the session is closed; a client may ask for another value."""
    max_duration_s: float = Field(1800, validation_alias="VISAVIS_MOTION_SIM_MAX_DURATION_S", gt=0)
    """Longest session (the vendor's plans: 10, 30, 60, 120 minutes)."""
    max_sessions: int = Field(0, validation_alias="VISAVIS_MOTION_SIM_MAX_SESSIONS", ge=0)
    """Concurrent sessions of the plan; 0 = no limit."""
    join_timeout_s: float = Field(8.0, validation_alias="VISAVIS_MOTION_SIM_JOIN_TIMEOUT_S", gt=0)
    """Longest wait for the room before the connection is refused (the SDK waits 10 s)."""
    first_audio_delay_ms: int = Field(
        0, validation_alias="VISAVIS_MOTION_SIM_FIRST_AUDIO_DELAY_MS", ge=0
    )
    """Pretended processing time before the first sound of each request."""
    log_format: str = Field("console", validation_alias="VISAVIS_LOG_FORMAT")
    """`console` or `json`."""

    def avatars(self) -> frozenset[str]:
        """`avatar_ids` as a set."""
        return frozenset(name.strip() for name in self.avatar_ids.split(",") if name.strip())
