"""A missing or wrong setting stops the start and names its variable."""

from contextlib import suppress

import pytest

from visavis_runtime import settings
from visavis_token.settings import Settings

GOOD = {
    "VISAVIS_NATS_URL": "nats://127.0.0.1:4222",
    "VISAVIS_HEALTH_PORT": "0",
    "VISAVIS_GRPC_PORT": "0",
    "VISAVIS_API_KEYS": "demo:0123456789abcdef",
    "VISAVIS_LIVEKIT_PUBLIC_URL": "ws://127.0.0.1:7880",
    "VISAVIS_LIVEKIT_API_KEY": "key",
    "VISAVIS_LIVEKIT_API_SECRET": "s" * 32,
    "VISAVIS_CHARACTERS": "deploy/characters",
}
CHOICES = (
    *("VISAVIS_HTTP_PORT", "VISAVIS_HTTP_HOST", "VISAVIS_HTTP_PUBLISHED_HOST"),
    *("VISAVIS_PUBLIC_DEMO", "VISAVIS_OPERATOR_KEYS"),
)


def _stopped(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> bool:
    for name in (*GOOD, *CHOICES):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with suppress(SystemExit):
        settings.load(Settings)
        return False
    return True


def test_complete_settings_load_and_hide_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _stopped(monkeypatch, GOOD)
    shown = repr(settings.load(Settings))
    assert "0123456789abcdef" not in shown
    assert "ssss" not in shown


@pytest.mark.parametrize("variable", GOOD)
def test_a_missing_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    assert _stopped(monkeypatch, {k: v for k, v in GOOD.items() if k != variable})
    assert capsys.readouterr().err.startswith(f"{variable}: ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VISAVIS_API_KEYS", "demo:tooshort"),
        ("VISAVIS_LIVEKIT_API_SECRET", "s" * 31),
        ("VISAVIS_LIVEKIT_PUBLIC_URL", "http://127.0.0.1"),
        ("VISAVIS_GRPC_PORT", "70000"),
        ("VISAVIS_HTTP_PORT", "70000"),
        ("VISAVIS_OPERATOR_KEYS", "somebody"),
        ("VISAVIS_PAGE_ADAPTER_URL", "javascript:alert(1)"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    assert _stopped(monkeypatch, GOOD | {variable: value})
    said = capsys.readouterr().err
    assert said.startswith(f"{variable}: ")
    assert "tooshort" not in said


@pytest.mark.parametrize(
    ("host", "is_stopped"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("", True)]
)
def test_the_public_demo_stays_on_loopback(
    monkeypatch: pytest.MonkeyPatch, host: str, is_stopped: bool
) -> None:
    public = {"VISAVIS_PUBLIC_DEMO": "1", "VISAVIS_HTTP_HOST": host, "VISAVIS_HTTP_PORT": "0"}
    assert _stopped(monkeypatch, GOOD | public) == is_stopped
    assert not _stopped(monkeypatch, GOOD | public | {"VISAVIS_PUBLIC_DEMO": "0"})


def test_operators_are_known_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _stopped(monkeypatch, GOOD | {"VISAVIS_OPERATOR_KEYS": " demo ,"})
    assert settings.load(Settings).http_port is None


@pytest.mark.parametrize(("published", "is_stopped"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_in_a_container_the_published_address_counts(
    monkeypatch: pytest.MonkeyPatch, published: str, is_stopped: bool
) -> None:
    inside = {"VISAVIS_HTTP_HOST": "0.0.0.0", "VISAVIS_HTTP_PUBLISHED_HOST": published}
    assert _stopped(monkeypatch, GOOD | inside | {"VISAVIS_PUBLIC_DEMO": "1"}) == is_stopped
