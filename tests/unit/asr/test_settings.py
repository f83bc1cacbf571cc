"""The settings of the recognition worker."""

import pytest

from visavis_asr.__main__ import engine
from visavis_asr.fake import FakeTranscriber
from visavis_asr.settings import Settings
from visavis_runtime.settings import load


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_NATS_URL", "nats://127.0.0.1:4222")
    monkeypatch.setenv("VISAVIS_HEALTH_PORT", "8080")


def test_the_embedded_engine_is_the_default() -> None:
    config = load(Settings)
    assert (config.engine, config.threads, config.window_s) == ("whisper", 1, 8.0)


def test_the_scripted_engine_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_ASR_ENGINE", "fake")
    assert isinstance(engine(load(Settings)), FakeTranscriber)


@pytest.mark.parametrize(
    ("name", "value"), [("VISAVIS_ASR_ENGINE", "other"), ("VISAVIS_ASR_WINDOW_S", "5")]
)
def test_a_wrong_value_stops_the_start_and_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        load(Settings)
    assert name in capsys.readouterr().err
