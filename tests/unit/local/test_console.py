"""What of many processes' output reaches the terminal."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from visavis_local import console
from visavis_local.console import Console

WARNING = "2026-11-24T23:36:20Z [warning] bus.disconnected               service=llm"
INFO = "2026-11-24T23:36:20Z [info] turn.over                      turn=1"


def _message(name: str | None, data: str | bytes) -> SimpleNamespace:
    return SimpleNamespace(name=name, data=data)


def test_the_conversation_is_shown_and_the_rest_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Console(tmp_path)) as one:
        one.write(_message("talk", b"  Nova   Hello.\n"))
        one.write(_message("llm", f"{INFO}\n".encode()))
        one.write(_message("llm", f"{WARNING}\n".encode()))
        one.write(_message(None, "llm started (pid=1)\n"))
    shown = capsys.readouterr().out
    assert shown.splitlines() == ["  Nova   Hello.", f"  ! llm: {WARNING}"]
    assert (tmp_path / "llm.log").read_text().splitlines() == [INFO, WARNING]
    assert "pid=1" in (tmp_path / "system.log").read_text()
    assert one.tail("llm", 1) == f"  | {WARNING}"
    assert one.tail("never started") == ""


def test_once_all_is_being_ended_only_the_conversation_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Console(tmp_path)) as one:
        one.hush()
        one.write(_message("llm", WARNING))
        one.write(_message("talk", "Stopped."))
    assert capsys.readouterr().out == "Stopped.\n"


@pytest.mark.parametrize(
    ("line", "is_shown"),
    [
        ("[1] 2026/11/24 [ERR] JetStream failed", True),
        ('{"level":"error","msg":"no"}', True),
        ('{"level":"warn","msg":"error reading data channel"}', False),
        ("[1] 2026/11/24 [INF] Server is ready", False),
        ("2026 [error] session.failed", True),
        ("2026 [info] is it a [warning ]?", True),
    ],
)
def test_a_warning_of_a_service_and_an_error_of_a_server(line: str, is_shown: bool) -> None:
    assert console.is_worth_showing(line) is is_shown


def test_the_logs_of_the_last_runs_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "CACHE", tmp_path)
    folders = []
    for _ in range(console.KEPT_RUNS + 2):
        folders.append(console.logs_folder())
        (folders[-1] / "llm.log").touch()
    kept = sorted((tmp_path / "demo").iterdir())
    assert len(kept) == console.KEPT_RUNS
    assert folders[-1] in kept
