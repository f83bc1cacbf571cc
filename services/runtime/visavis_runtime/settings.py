"""Settings: read once from the environment, frozen, secrets masked, a missing one stops the start."""

import sys
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

EXIT_CONFIG = 78
"""Exit status of a wrong configuration (sysexits.h EX_CONFIG)."""


class ServiceSettings(BaseSettings):
    """What every service needs. Fields name their environment variable by `validation_alias`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    nats_url: str = Field(validation_alias="VISAVIS_NATS_URL")
    """Address of the bus, for example nats://127.0.0.1:4222."""
    nats_user: str = Field("", validation_alias="VISAVIS_NATS_USER")
    """Account name at the bus; empty: none."""
    nats_password: SecretStr = Field(SecretStr(""), validation_alias="VISAVIS_NATS_PASSWORD")
    """Its password."""
    health_host: str = Field("127.0.0.1", validation_alias="VISAVIS_HEALTH_HOST")
    """Where /livez, /readyz and /metrics listen."""
    health_port: int = Field(validation_alias="VISAVIS_HEALTH_PORT")
    """Their port."""
    log_format: str = Field("console", validation_alias="VISAVIS_LOG_FORMAT")
    """`console` or `json`."""


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S]) -> S:
    """Read the settings or end the process with a line for each variable that is missing or wrong."""
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            variable = "".join(str(part) for part in problem["loc"])
            print(f"{variable}: {problem['msg']}", file=sys.stderr)
        raise SystemExit(EXIT_CONFIG) from None
