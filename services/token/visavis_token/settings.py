"""Settings, read once from the environment."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from visavis_runtime.settings import ServiceSettings
from visavis_token.api_keys import ApiKeys


class Settings(ServiceSettings):
    """What the session API needs beside the bus and the health port."""

    grpc_host: str = Field("127.0.0.1", validation_alias="VISAVIS_GRPC_HOST")
    """Where the API listens, without TLS: that ends in front of it."""
    grpc_port: int = Field(validation_alias="VISAVIS_GRPC_PORT", ge=0, le=65535)
    """Its port; 0 = any free one."""
    api_keys: SecretStr = Field(validation_alias="VISAVIS_API_KEYS")
    """`id:secret,id:secret`, secrets of at least 16 characters."""
    livekit_public_url: str = Field(
        validation_alias="VISAVIS_LIVEKIT_PUBLIC_URL", pattern=r"^wss?://"
    )
    """LiveKit's address for browsers."""
    livekit_api_key: str = Field(validation_alias="VISAVIS_LIVEKIT_API_KEY", min_length=1)
    """Names the secret to LiveKit."""
    livekit_api_secret: SecretStr = Field(
        validation_alias="VISAVIS_LIVEKIT_API_SECRET", min_length=32
    )
    """Signs room tokens; HS256 wants at least 32 characters."""
    characters: Path = Field(validation_alias="VISAVIS_CHARACTERS")
    """Folder of the characters, one YAML file each."""

    @field_validator("api_keys")
    @classmethod
    def _readable(cls, keys: SecretStr) -> SecretStr:
        ApiKeys.parse(keys.get_secret_value())
        return keys
