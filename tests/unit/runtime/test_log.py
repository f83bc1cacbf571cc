"""Logs: one line an event, with what is bound to the task."""

import json
from collections.abc import Iterator

import pytest
import structlog

from visavis_runtime import log


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leaves no configuration behind."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_json_lines_carry_service_module_and_what_is_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("tts", "json")
    logger = log.get("module")
    with structlog.contextvars.bound_contextvars(session="s", turn=3, epoch=7):
        logger.info("stage.began", took_s=0.5)
    logger.debug("chatter")
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told.pop("timestamp")
    assert told == {
        "event": "stage.began",
        "level": "info",
        "service": "tts",
        "module": "module",
        "session": "s",
        "turn": 3,
        "epoch": 7,
        "took_s": 0.5,
    }


def test_console_lines_are_one_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("tts")
    log.get("module").warning("bus.disconnected")
    (line,) = capsys.readouterr().err.splitlines()
    assert "bus.disconnected" in line
    assert "service=tts" in line
