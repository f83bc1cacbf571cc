"""The settings of egress: what is missing, what cannot work together."""

import pytest

from visavis_egress.settings import Settings
from visavis_runtime.settings import load

NEEDED = {
    "VISAVIS_NATS_URL": "nats://127.0.0.1:4222",
    "VISAVIS_HEALTH_PORT": "8080",
    "VISAVIS_LIVEKIT_URL": "ws://livekit.example:7880",
    "VISAVIS_LIVEKIT_API_KEY": "key",
    "VISAVIS_LIVEKIT_API_SECRET": "s" * 32,
}
VENDOR = {
    "SPATIUS_API_KEY": "vendor-secret",
    "SPATIUS_APP_ID": "app",
    "SPATIUS_AVATAR_ID": "avatar",
}
CONSOLE, INGRESS = "SPATIUS_CONSOLE_ENDPOINT", "SPATIUS_INGRESS_ENDPOINT"
VENDOR_URL = "VISAVIS_LIVEKIT_VENDOR_URL"
OPTIONAL = (
    *(CONSOLE, INGRESS, VENDOR_URL, "VISAVIS_AVATAR", "SPATIUS_REGION"),
    *("VISAVIS_SESSION_SLOTS", "VISAVIS_LEASE_SECONDS"),
    *("VISAVIS_TEXT_SCORER", "VISAVIS_SOUND_SCORER", "VISAVIS_STATEFUL_MODEL"),
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OPTIONAL:
        monkeypatch.delenv(name, raising=False)
    for name, value in (NEEDED | VENDOR).items():
        monkeypatch.setenv(name, value)


def _refused(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        load(Settings)
    assert stopped.value.code == 78
    told = capsys.readouterr().err
    assert "s" * 32 not in told
    assert "vendor-secret" not in told
    return told


def test_everything_needed_is_enough() -> None:
    settings = load(Settings)
    assert (settings.avatar, settings.slots, settings.lease_s) == ("spatius", 8, 20.0)
    assert not settings.spatius_telemetry
    assert "s" * 32 not in repr(settings)
    assert "vendor-secret" not in repr(settings)


def test_each_scorer_of_the_turns_end_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load(Settings).text_scorer, load(Settings).sound_scorer) == (True, True)
    monkeypatch.setenv("VISAVIS_TEXT_SCORER", "0")
    assert (load(Settings).text_scorer, load(Settings).sound_scorer) == (False, True)
    monkeypatch.setenv("VISAVIS_SOUND_SCORER", "0")
    assert not load(Settings).sound_scorer


def test_a_model_may_be_said_to_be_stateful(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load(Settings).stateful_model
    monkeypatch.setenv("VISAVIS_STATEFUL_MODEL", "1")
    assert load(Settings).stateful_model


@pytest.mark.parametrize("name", [*NEEDED, *VENDOR])
def test_what_is_missing_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(name)
    told = _refused(capsys)
    assert told.startswith(f"{name}: ")
    assert len(told.splitlines()) == 1


def test_all_that_is_missing_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name)
    assert {line.split(":")[0] for line in _refused(capsys).splitlines()} == set(NEEDED)


def test_the_voice_alone_needs_no_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VENDOR:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VISAVIS_AVATAR", "audio_only")
    monkeypatch.setenv("VISAVIS_LIVEKIT_URL", "ws://127.0.0.1:7880")
    assert load(Settings).avatar == "audio_only"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_cloud_vendor_cannot_reach_a_loopback_livekit(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISAVIS_LIVEKIT_URL", f"ws://{host}:7880")
    told = _refused(capsys)
    assert told.startswith("VISAVIS_LIVEKIT_VENDOR_URL: the avatar vendor publishes into the room")
    assert "cannot reach LiveKit at" in told
    monkeypatch.setenv(VENDOR_URL, "wss://livekit.example")
    assert load(Settings).livekit_vendor_url == "wss://livekit.example"
    # A vendor on this machine reaches it.
    monkeypatch.delenv(VENDOR_URL)
    monkeypatch.setenv(CONSOLE, "http://127.0.0.1:8790/v1/console")
    monkeypatch.setenv(INGRESS, "ws://127.0.0.1:8790/v2/driveningress")
    assert load(Settings).spatius_ingress_endpoint


@pytest.mark.parametrize("name", [CONSOLE, INGRESS])
def test_one_endpoint_alone_would_mix_two_vendors(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "ws://127.0.0.1:8790")
    assert "give both or neither" in _refused(capsys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VISAVIS_AVATAR", "hologram"),
        ("VISAVIS_SESSION_SLOTS", "0"),
        ("VISAVIS_LEASE_SECONDS", "1"),
        ("VISAVIS_LIVEKIT_API_SECRET", "too short"),
    ],
)
def test_what_is_wrong_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert _refused(capsys).startswith(f"{name}: ")
