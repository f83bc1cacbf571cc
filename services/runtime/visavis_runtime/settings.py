"""Settings: read once from the environment, frozen, secrets masked; a missing one stops."""

import sys
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

EXIT_CONFIG = 78  # a wrong configuration: EX_CONFIG of sysexits.h


class ServiceSettings(BaseSettings):
    """What every service needs. Fields name their environment variable by `validation_alias`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    nats_url: str = Field(validation_alias="VISAVIS_NATS_URL")
    """Address of the bus, for example nats://127.0.0.1:4222."""
    nats_user: str = Field("", validation_alias="VISAVIS_NATS_USER")
    nats_password: SecretStr = Field(SecretStr(""), validation_alias="VISAVIS_NATS_PASSWORD")
    """Account at the bus; an empty user: none."""
    health_host: str = Field("127.0.0.1", validation_alias="VISAVIS_HEALTH_HOST")
    health_port: int = Field(validation_alias="VISAVIS_HEALTH_PORT")
    """Where /livez, /readyz and /metrics listen."""
    log_format: str = Field("console", validation_alias="VISAVIS_LOG_FORMAT")
    """`console` or `json`."""


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S]) -> S:
    """Read the settings, or end the process with a line for each missing or wrong variable."""
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            variable = "".join(f"{part}: " for part in problem["loc"])
            # Of a masked text, pydantic says "items" where it means characters.
            said = problem["msg"].removeprefix("Value error, ").replace(" item", " character")
            print(variable + said.replace(" after validation", ""), file=sys.stderr)
        raise SystemExit(EXIT_CONFIG) from None
