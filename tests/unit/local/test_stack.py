"""The process table of the one-machine run follows what the person has set."""

from pathlib import Path

import pytest

from visavis_local.environments import checked
from visavis_local.stack import PORTS, LocalStack, StackError

REAL_LIVEKIT = {
    "VISAVIS_LIVEKIT_URL": "wss://rooms.example",
    "VISAVIS_LIVEKIT_VENDOR_URL": "wss://rooms.example",
    "VISAVIS_LIVEKIT_API_KEY": "key",
    "VISAVIS_LIVEKIT_API_SECRET": "secret",
}


def _stack(settings: dict[str, str] | None = None) -> LocalStack:
    return LocalStack.create(Path("/run"), settings or {})


def test_by_itself_everything_is_local_and_every_port_another() -> None:
    stack = _stack()
    assert {"nats", "livekit", "model-server", "motion-sim", "egress"} <= set(stack.processes)
    assert len(set(stack.ports.values())) == len(PORTS)
    assert stack.environ("egress")["SPATIUS_CONSOLE_ENDPOINT"].startswith("http://127.0.0.1:")


def test_the_processes_of_a_run_make_the_choices_of_the_one_who_started_it() -> None:
    stack = _stack()
    again = LocalStack.create(stack.folder, stack.exported())
    assert (again.ports, again.secret) == (stack.ports, stack.secret)
    assert [again.environ(name) for name in again.processes] == [
        stack.environ(name) for name in stack.processes
    ]


def test_a_port_can_be_set() -> None:
    assert _stack({"VISAVIS_LOCAL_PORT_TOKEN_GRPC": "7070"}).grpc_target == "127.0.0.1:7070"


def test_a_real_model_takes_the_place_of_the_embedded_one() -> None:
    real = {"VISAVIS_LLM_BASE_URL": "http://gpu:8000/v1", "VISAVIS_LLM_MODEL": "m"}
    stack = _stack(real)
    assert "model-server" not in stack.processes
    assert real.items() <= stack.environ("llm").items()


def test_a_real_avatar_takes_the_place_of_motion_sim_and_none_of_its_settings_stays() -> None:
    stack = _stack({"SPATIUS_API_KEY": "k", "SPATIUS_APP_ID": "a"} | REAL_LIVEKIT)
    assert not {"motion-sim", "livekit"} & set(stack.processes)
    told = {key: value for key, value in stack.environ("egress").items() if "SPATIUS" in key}
    assert told == {"SPATIUS_API_KEY": "k", "SPATIUS_APP_ID": "a"}


def test_a_real_avatar_with_a_loopback_room_is_refused_with_the_reason() -> None:
    with pytest.raises(StackError, match="cannot reach a LiveKit server on this machine"):
        _stack({"SPATIUS_API_KEY": "k"})


def test_half_a_livekit_account_is_refused_and_the_rest_named() -> None:
    with pytest.raises(StackError, match=r"API_KEY, VISAVIS_LIVEKIT_API_SECRET"):
        _stack({"VISAVIS_LIVEKIT_URL": "wss://rooms.example"})


def test_a_second_replica_has_a_health_port_and_a_log_of_its_own() -> None:
    stack = _stack()
    first, second = stack.process("asr"), stack.process("asr", 1)
    assert first.log != second.log
    assert first.ready_url != second.ready_url
    assert second.environ["VISAVIS_HEALTH_PORT"] in (second.ready_url or "")


def test_a_file_with_other_content_than_the_pinned_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"changed")
    with pytest.raises(ValueError, match="weights: sha256 is"):
        checked(path, "0" * 64)
