"""Settings, read once from the environment."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from visavis_runtime.settings import ServiceSettings
from visavis_token.api_keys import ApiKeys

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MODULE = r"^((https?:/)?/.+)?$"


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
    default_character: str = Field("", validation_alias="VISAVIS_DEFAULT_CHARACTER")
    """For HTTP clients that name none; empty: they have to, where there are several."""
    operator_keys: str = Field("", validation_alias="VISAVIS_OPERATOR_KEYS")
    """`id,id` of API keys whose EndSession has the reason ADMIN."""

    http_host: str = Field("127.0.0.1", validation_alias="VISAVIS_HTTP_HOST")
    """Where the token endpoint and the page listen, without TLS."""
    http_port: int | None = Field(None, validation_alias="VISAVIS_HTTP_PORT", ge=0, le=65535)
    """Their port; left out: gRPC alone."""
    http_published_host: str = Field("", validation_alias="VISAVIS_HTTP_PUBLISHED_HOST")
    """In a container: the host's address where that port is published; empty: it is not."""
    http_origins: str = Field("", validation_alias="VISAVIS_HTTP_ORIGINS")
    """`https://a.example,https://b.example`: pages elsewhere that may ask for tokens."""
    public_demo: bool = Field(False, validation_alias="VISAVIS_PUBLIC_DEMO")
    """Tokens without an API key, for whoever reaches the port: on loopback only."""
    page_adapter_url: str = Field("", validation_alias="VISAVIS_PAGE_ADAPTER_URL", pattern=_MODULE)
    """The avatar vendor's RTC adapter, an ES module that the page loads; empty: a drawn face."""
    page_avatarkit_url: str = Field(
        "", validation_alias="VISAVIS_PAGE_AVATARKIT_URL", pattern=_MODULE
    )
    """The vendor's AvatarKit, where the adapter does not bring it."""
    page_vendor_origins: str = Field("", validation_alias="VISAVIS_PAGE_VENDOR_ORIGINS")
    """`https://a.example,wss://b.example`: what else the vendor's modules may connect to."""

    @field_validator("api_keys")
    @classmethod
    def _readable(cls, keys: SecretStr) -> SecretStr:
        ApiKeys.parse(keys.get_secret_value())
        return keys

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if unknown := set(listed(self.operator_keys)) - ApiKeys.parse(self._api_keys).ids:
            named = ", ".join(sorted(unknown))
            raise ValueError(f"VISAVIS_OPERATOR_KEYS: not in VISAVIS_API_KEYS: {named}")
        reached_at = self.http_published_host or self.http_host
        if self.public_demo and reached_at not in LOOPBACK:
            raise ValueError(
                "VISAVIS_PUBLIC_DEMO: gives sessions to everybody who reaches the port, so "
                "VISAVIS_HTTP_HOST (in a container: VISAVIS_HTTP_PUBLISHED_HOST) has to be "
                f"127.0.0.1 and not {reached_at}"
            )
        return self

    @property
    def _api_keys(self) -> str:
        return self.api_keys.get_secret_value()


def listed(text: str) -> list[str]:
    """The parts of a comma-separated setting."""
    return [part.strip() for part in text.split(",") if part.strip()]
