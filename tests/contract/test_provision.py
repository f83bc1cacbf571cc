"""Provisioning: repeatable, also by two at once; brings changed numbers in; refuses bad ones."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nats
import pytest
import yaml
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from deploy.nats import provision as module
from deploy.nats.provision import DECLARATION, check, provision
from tests.support.servers import NatsServer, running_nats
from visavis_runtime import nats_bus, subjects

Change = Callable[[Callable[[dict[str, Any]], None]], None]


@pytest.fixture
async def empty() -> AsyncIterator[NatsServer]:
    """A server without streams."""
    async with running_nats() as server:
        yield server


@pytest.fixture
async def js(empty: NatsServer) -> AsyncIterator[JetStreamContext]:
    """What the server knows."""
    client = await nats.connect(empty.url)
    yield client.jetstream()
    await client.close()


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Change:
    """Edits a copy of the declaration, which is then in force."""

    def edit(how: Callable[[dict[str, Any]], None]) -> None:
        declared = yaml.safe_load(DECLARATION.read_text())
        how(declared)
        copy = tmp_path / "streams.yaml"
        copy.write_text(yaml.safe_dump(declared))
        monkeypatch.setattr(module, "DECLARATION", copy)

    return edit


async def _state(js: JetStreamContext) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for stream in await js.streams_info():
        name = stream.config.name or ""
        state[name] = asdict(stream.config)
        for consumer in await js.consumers_info(name):
            state[f"{name}/{consumer.name}"] = asdict(consumer.config)
    return state


async def test_it_creates_seven_streams_and_four_consumers(
    empty: NatsServer, js: JetStreamContext
) -> None:
    await provision(empty.url)
    state = await _state(js)
    consumers = {name for name in state if "/" in name}
    assert consumers == {"VV_JOBS/egress", "VV_WORK/asr", "VV_WORK/llm", "VV_WORK/tts"}
    assert set(state) - consumers == {
        *("VV_JOBS", "VV_WORK", "VV_RESULTS", "VV_SPEECH", "VV_EVENTS", "VV_DLQ"),
        "KV_vv_sessions",
    }
    assert state["VV_JOBS/egress"]["ack_wait"] == 20
    assert state["VV_JOBS/egress"]["max_deliver"] == -1
    assert state["VV_SPEECH"]["storage"] == "file"  # a lone server's memory streams would vanish


async def test_a_repeat_changes_nothing_and_loses_nothing(
    empty: NatsServer, js: JetStreamContext
) -> None:
    await provision(empty.url)
    before = await _state(js)
    bus = await nats_bus.NatsBus().connect(empty.url, name="test")
    await bus.store(subjects.job("s"), b"job")
    await provision(empty.url)
    assert await _state(js) == before
    assert await bus.last(subjects.JOBS, subjects.job("s"), leader=True)
    await bus.aclose()


async def test_several_at_once_agree(empty: NatsServer, js: JetStreamContext) -> None:
    await asyncio.gather(*(provision(empty.url) for _ in range(3)))
    assert len(await _state(js)) == 11


async def test_changed_numbers_are_brought_in(
    empty: NatsServer, js: JetStreamContext, change: Change
) -> None:
    await provision(empty.url)

    def how(declared: dict[str, Any]) -> None:
        declared["streams"]["VV_RESULTS"]["max_age_s"] = 1800
        declared["streams"]["VV_WORK"]["consumers"]["tts"]["max_deliver"] = 4

    change(how)
    await provision(empty.url, lease_s=5)
    state = await _state(js)
    assert state["VV_RESULTS"]["max_age"] == 1800
    assert state["VV_WORK/tts"]["max_deliver"] == 4
    assert state["VV_JOBS/egress"]["ack_wait"] == 5
    assert state["VV_WORK/asr"]["ack_wait"] == 1


async def test_who_is_beaten_to_a_stream_brings_in_its_own_numbers(
    empty: NatsServer, js: JetStreamContext, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    await provision(empty.url)

    update, missed = JetStreamContext.update_stream, set[str]()

    async def not_there_yet(js: JetStreamContext, config: StreamConfig) -> object:
        if (name := config.name or "") in missed:
            return await update(js, config)
        missed.add(name)
        raise NotFoundError

    def how(declared: dict[str, Any]) -> None:
        declared["streams"]["VV_RESULTS"]["max_age_s"] = 1800

    change(how)
    monkeypatch.setattr(JetStreamContext, "update_stream", not_there_yet)
    await provision(empty.url)
    assert (await _state(js))["VV_RESULTS"]["max_age"] == 1800


def test_the_declaration_that_is_in_force_holds() -> None:
    check(yaml.safe_load(DECLARATION.read_text()))


@pytest.mark.parametrize(
    ("stream", "number", "value"),
    [
        ("VV_EVENTS", "max_age_s", 86_400 + 3_600),  # a guard would age out under its holder
        ("VV_WORK", "duplicate_window_s", 61),  # the server would refuse it (10052)
        ("VV_RESULTS", "max_consumers", 0),  # the server's own limit would hold
    ],
)
async def test_numbers_that_break_the_rules_are_refused_by_name(
    empty: NatsServer, js: JetStreamContext, change: Change, stream: str, number: str, value: int
) -> None:
    def how(declared: dict[str, Any]) -> None:
        declared["streams"][stream][number] = value

    change(how)
    with pytest.raises(ValueError, match=rf"{stream}\.{number}"):
        await provision(empty.url)
    assert await _state(js) == {}


def _run(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = Path(module.__file__)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(program)],
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=30,
    )


async def test_as_a_program_it_reads_the_environment(
    empty: NatsServer, js: JetStreamContext
) -> None:
    environ = {"VISAVIS_NATS_URL": empty.url, "VISAVIS_LEASE_SECONDS": "5"}
    done = await asyncio.to_thread(_run, environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert (await _state(js))["VV_JOBS/egress"]["ack_wait"] == 5


def test_as_a_program_it_names_the_setting_that_is_missing_or_wrong() -> None:
    missing = _run({})
    assert missing.returncode == module.EXIT_CONFIG
    assert "VISAVIS_NATS_URL" in missing.stderr
    wrong = _run({"VISAVIS_NATS_URL": "nats://127.0.0.1:1", "VISAVIS_NATS_REPLICAS": "three"})
    assert wrong.returncode == module.EXIT_CONFIG
    assert "VISAVIS_NATS_REPLICAS" in wrong.stderr
