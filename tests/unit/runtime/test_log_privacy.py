"""A traceback in the log shows where, never what was said."""

import pytest
import structlog

from visavis_runtime import log

SAID = "zebra crossing"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_holds_no_local_variables(
    style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(said: str) -> None:
        raise RuntimeError(f"{len(said)} characters")

    log.configure("asr", style)
    try:
        fail(SAID)
    except RuntimeError:
        log.get("module").exception("stage.engine_failed")
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    told = capsys.readouterr().err
    assert "14 characters" in told
    assert SAID not in told
