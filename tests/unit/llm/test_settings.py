"""The settings of the language model worker."""

import pytest

from visavis_llm.__main__ import engine
from visavis_llm.fake import FakeChatModel
from visavis_llm.settings import Settings
from visavis_runtime.settings import load


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VISAVIS_LLM_BASE_URL", "VISAVIS_LLM_MODEL", "VISAVIS_LLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VISAVIS_NATS_URL", "nats://127.0.0.1:4222")
    monkeypatch.setenv("VISAVIS_HEALTH_PORT", "8080")


def test_a_missing_server_stops_the_start_and_names_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        load(Settings)
    told = capsys.readouterr().err
    assert "VISAVIS_LLM_BASE_URL: " in told
    assert "VISAVIS_LLM_MODEL: " in told


async def test_three_settings_name_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_LLM_BASE_URL", "http://127.0.0.1:1/v1/")
    monkeypatch.setenv("VISAVIS_LLM_MODEL", "m")
    monkeypatch.setenv("VISAVIS_LLM_API_KEY", "secret-key")
    config = load(Settings)
    assert config.base_url == "http://127.0.0.1:1/v1"
    assert "secret-key" not in repr(config)
    model = engine(config)
    assert not model.can_continue
    await model.aclose()


def test_the_scripted_engine_needs_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_LLM_ENGINE", "fake")
    assert isinstance(engine(load(Settings)), FakeChatModel)
