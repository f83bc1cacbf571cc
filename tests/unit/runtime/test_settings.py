"""Settings: from the environment, frozen, secrets masked, what is missing named."""

import pytest
from pydantic import Field, SecretStr, ValidationError

from visavis_runtime.settings import EXIT_CONFIG, ServiceSettings, load


class Settings(ServiceSettings):
    """A service's settings."""

    slots: int = Field(1, validation_alias="VISAVIS_TEST_SLOTS")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables that have no default."""
    monkeypatch.setenv("VISAVIS_NATS_URL", "nats://127.0.0.1:4222")
    monkeypatch.setenv("VISAVIS_HEALTH_PORT", "8080")
    return monkeypatch


def test_values_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VISAVIS_TEST_SLOTS", "3")
    settings = load(Settings)
    assert settings.nats_url == "nats://127.0.0.1:4222"
    assert (settings.health_host, settings.health_port, settings.slots) == ("127.0.0.1", 8080, 3)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("VISAVIS_NATS_URL", None), ("VISAVIS_HEALTH_PORT", None), ("VISAVIS_TEST_SLOTS", "many")],
)
def test_what_is_missing_or_wrong_stops_the_start_and_is_named(
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str | None,
) -> None:
    if value is None:
        environment.delenv(variable)
    else:
        environment.setenv(variable, value)
    with pytest.raises(SystemExit) as stopped:
        load(Settings)
    assert stopped.value.code == EXIT_CONFIG
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{variable}: ")


def test_every_problem_has_a_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("VISAVIS_NATS_URL")
    environment.setenv("VISAVIS_HEALTH_PORT", "http")
    with pytest.raises(SystemExit):
        load(Settings)
    named = {line.partition(":")[0] for line in capsys.readouterr().err.splitlines()}
    assert named == {"VISAVIS_NATS_URL", "VISAVIS_HEALTH_PORT"}


def test_secrets_are_masked_wherever_settings_are_shown(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("VISAVIS_NATS_PASSWORD", "hunter2")
    settings = load(Settings)
    assert settings.nats_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_do_not_change() -> None:
    settings = load(Settings)
    with pytest.raises(ValidationError):
        settings.slots = 9


class Signing(ServiceSettings):
    """One that has a secret."""

    secret: SecretStr = Field(validation_alias="VISAVIS_TEST_SECRET", min_length=32)


def test_a_secret_that_is_too_short_is_measured_in_characters(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("VISAVIS_TEST_SECRET", "short")
    with pytest.raises(SystemExit):
        load(Signing)
    told = capsys.readouterr().err
    assert told.startswith("VISAVIS_TEST_SECRET: ")
    assert "at least 32 characters" in told
    assert "item" not in told
    assert "short" not in told
