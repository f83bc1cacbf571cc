"""What NATS and nats-py do by default and must not do to us; real servers only."""

import asyncio
import re
import signal
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import nats
import pytest
import structlog

from tests.support.servers import NatsServer
from tests.support.waiting import fetched, until
from visavis_local.processes import ServerProcess
from visavis_local.servers import NATS_CONFIG
from visavis_runtime import bus as port
from visavis_runtime import nats_bus, subjects
from visavis_runtime.errors import BusUnavailable, Forbidden
from visavis_runtime.nats_bus import NatsBus

SID = "01HZX"


@pytest.fixture
async def process(server: NatsServer) -> ServerProcess:
    """The server's process, to kill and freeze."""
    if server.process is None:
        pytest.skip("a server that is not ours is neither killed nor frozen")
    return server.process


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[NatsBus]:
    """A connection."""
    connected = await nats_bus.NatsBus().connect(server.url, name="traps")
    yield connected
    await connected.aclose()


@pytest.fixture
async def other(server: NatsServer) -> AsyncIterator[NatsBus]:
    """A second connection."""
    connected = await nats_bus.NatsBus().connect(server.url, name="other")
    yield connected
    await connected.aclose()


async def _stop(process: ServerProcess, *buses: NatsBus) -> None:
    await asyncio.to_thread(process.kill)
    for bus in buses:
        await until(partial(_is_away, bus), "the loss is noticed")


async def _start(process: ServerProcess, *buses: NatsBus) -> None:
    await asyncio.to_thread(process.start)
    for bus in buses:
        await until(partial(_is_connected, bus), "reconnected")


def _is_connected(bus: NatsBus) -> bool:
    return bus._client.is_connected


def _is_away(bus: NatsBus) -> bool:
    return not _is_connected(bus)


async def test_every_stream_limits_its_consumers_and_has_an_age(server: NatsServer) -> None:
    client = await nats.connect(server.url)
    streams = await client.jetstream().streams_info()
    await client.close()
    assert len(streams) == 7
    for stream in streams:
        assert 0 < (stream.config.max_consumers or 0) <= 8, stream.config.name
        assert (stream.config.max_age or 0) > 0, stream.config.name
        assert (stream.config.max_bytes or 0) > 0, stream.config.name


def test_the_flow_control_that_kills_nats_py_is_switched_off() -> None:
    settings = re.sub(r"#.*", "", NATS_CONFIG.read_text())
    assert re.search(r"js_ack_fc_v2:\s*false", settings)


async def test_a_fetch_across_a_restart_hears_again_within_seconds(
    bus: NatsBus, other: NatsBus, process: ServerProcess
) -> None:
    queue = await bus.work(subjects.WORK, "asr")

    async def work() -> port.WorkItem:
        while True:
            try:
                if item := await queue.fetch(2.0):
                    return item
            except BusUnavailable:
                await asyncio.sleep(0.1)

    working = asyncio.create_task(work())
    await bus.ping()
    await _stop(process, bus, other)
    await _start(process, bus, other)
    await other.store(subjects.work("asr", SID), b"x")
    stored = time.monotonic()
    item = await asyncio.wait_for(working, 4)
    assert time.monotonic() - stored < 3
    await item.ack()
    await queue.aclose()


async def test_what_is_published_while_disconnected_is_dropped_for_good(
    bus: NatsBus, other: NatsBus, process: ServerProcess
) -> None:
    heard: list[bytes] = []
    await other.subscribe("vv.speech.*", lambda message: heard.append(message.data))
    await _stop(process, bus, other)
    for _ in range(200):
        assert not await bus.publish(subjects.speech(SID), b"stale")
    await _start(process, bus, other)
    await bus.ping()
    await other.ping()
    assert await bus.publish(subjects.speech(SID), b"fresh")
    await until(lambda: heard, "the fresh message")
    assert heard == [b"fresh"]


async def test_it_reconnects_however_often_that_failed(
    bus: NatsBus, process: ServerProcess
) -> None:
    await _stop(process, bus)
    for known in bus._client._server_pool:
        known.reconnects = 10_000
    await _start(process, bus)
    await bus.ping()


async def test_connecting_waits_for_a_server_that_is_not_there_yet(
    server: NatsServer, process: ServerProcess
) -> None:
    await asyncio.to_thread(process.kill)
    connecting = asyncio.create_task(nats_bus.NatsBus().connect(server.url, name="early"))
    await asyncio.sleep(0)
    await asyncio.to_thread(process.start)
    early = await asyncio.wait_for(connecting, 10)
    await early.ping()
    await early.aclose()


async def test_a_frozen_server_fails_the_ping_in_two_seconds(
    bus: NatsBus, process: ServerProcess
) -> None:
    await bus.ping()
    process.signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert bus._client.is_connected
        with pytest.raises(BusUnavailable):
            await bus.ping()
        assert time.monotonic() - started < 3
    finally:
        process.signal(signal.SIGCONT)
    await bus.ping()


async def test_a_connection_whose_reader_died_fails_the_ping(bus: NatsBus) -> None:
    reading = bus._client._reading_task
    assert reading
    reading.cancel()
    assert bus._client.is_connected
    with pytest.raises(BusUnavailable):
        await bus.ping()


async def test_an_item_of_an_abandoned_fetch_is_given_back_when_the_queue_closes(
    bus: NatsBus, other: NatsBus
) -> None:
    queue = await bus.work(subjects.WORK, "llm")
    abandoned = asyncio.create_task(queue.fetch(2.0))
    await bus.ping()
    abandoned.cancel()
    await asyncio.gather(abandoned, return_exceptions=True)
    await other.store(subjects.work("llm", SID), b"x")
    await until(lambda: queue._subscription.pending_msgs, "the item in the abandoned pull")
    started = time.monotonic()
    await queue.aclose()
    item = await fetched(await other.work(subjects.WORK, "llm"))
    assert time.monotonic() - started < 0.8  # before the ack wait
    assert item.deliveries == 2
    await item.ack()


async def test_a_killed_server_keeps_leases_ids_and_speech(
    bus: NatsBus, other: NatsBus, process: ServerProcess
) -> None:
    queue = await bus.work(subjects.JOBS, "egress")
    await bus.store(subjects.job(SID), b"job")
    await bus.store(subjects.event("turn", SID), b"x", message_id="id")
    await bus.store(subjects.speech(SID), b"pcm")
    before = _consumer_state(process)
    lease = await fetched(queue)
    # The server writes deliveries down a moment later: killed before, it hands the item out again,
    # and only the guard keeps the two holders apart.
    await until(lambda: _consumer_state(process) != before, "the delivery is on disk")
    await _stop(process, bus, other)
    await _start(process, bus, other)
    waiting = await other.work(subjects.JOBS, "egress")
    assert await waiting.fetch(0.5) is None
    await lease.renew()
    assert (await bus.store(subjects.event("turn", SID), b"x", message_id="id")).duplicate
    assert [s.data async for s in bus.replay(subjects.SPEECH, subjects.speech(SID))] == [b"pcm"]
    await lease.nak()
    assert (await fetched(waiting)).deliveries == 2
    await waiting.aclose()


def _consumer_state(process: ServerProcess) -> bytes:
    store = Path(process.command[list(process.command).index("-sd") + 1])
    (folder,) = store.glob("**/VV_JOBS/obs/egress")
    state = folder / "o.dat"
    return state.read_bytes() if state.exists() else b""


async def test_a_store_across_a_restart_arrives_once(bus: NatsBus, process: ServerProcess) -> None:
    await _stop(process, bus)
    storing = asyncio.create_task(bus.store(subjects.event("turn", SID), b"x", message_id="id"))
    await asyncio.sleep(0)
    await _start(process, bus)
    receipt = await asyncio.wait_for(storing, 10)
    again = await bus.store(subjects.event("turn", SID), b"x", message_id="id")
    assert (receipt.sequence, again.sequence, again.duplicate) == (1, 1, True)
    kept = [stored async for stored in bus.replay(subjects.EVENTS, "vv.event.>")]
    assert len(kept) == 1


async def test_a_store_without_a_server_gives_up_after_its_budget(
    bus: NatsBus, process: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "STORE_BUDGET_S", 0.5)
    await _stop(process, bus)
    started = time.monotonic()
    with pytest.raises(BusUnavailable):
        await bus.store(subjects.event("turn", SID), b"x", message_id="id")
    assert time.monotonic() - started < 4


async def test_a_subscription_is_in_force_when_subscribe_returns(
    bus: NatsBus, other: NatsBus
) -> None:
    for number in range(50):
        heard: list[port.Message] = []
        subscription = await bus.subscribe(f"vv.cancel.{number}", heard.append)
        await other.publish(f"vv.cancel.{number}", b"")
        await until(partial(len, heard), "the first message after subscribe")
        await subscription.aclose()


async def test_a_blocked_loop_loses_nothing_of_a_burst(server: NatsServer, bus: NatsBus) -> None:
    total, heard = 2_500, list[bytes]()
    await bus.subscribe("vv.speech.*", lambda message: heard.append(message.data))

    async def burst() -> None:
        client = await nats.connect(server.url)
        for number in range(total):
            await client.publish(subjects.speech(SID), number.to_bytes(4, "big") * 1_000)
        await client.flush()
        await client.close()

    publisher = threading.Thread(target=lambda: asyncio.run(burst()))
    publisher.start()
    publisher.join(20)  # on purpose in the event loop
    await until(lambda: len(heard) == total, "10 MB", within_s=20)
    assert [int.from_bytes(data[:4], "big") for data in heard] == list(range(total))


RESTRICTED = """
authorization { users: [
  { user: admin, password: pw }
  { user: asr, password: pw, permissions: {
      publish: ["_INBOX_asr.>", "vv.result.asr.*", "$JS.API.>"],
      subscribe: ["_INBOX_asr.>", "vv.cancel.*"] } }
] }
"""


@pytest.fixture
async def restricted(tmp_path: Path, server: NatsServer, process: ServerProcess) -> NatsServer:
    """The provisioned server, started again with users and their permissions."""
    await asyncio.to_thread(process.stop)
    config = tmp_path / "restricted.conf"
    config.write_text(NATS_CONFIG.read_text() + RESTRICTED)
    process.command = [
        str(config) if part == str(NATS_CONFIG) else part for part in process.command
    ]
    await asyncio.to_thread(process.start)
    return server


async def _as_asr(server: NatsServer) -> NatsBus:
    return await nats_bus.NatsBus().connect(server.url, name="asr", user="asr", password="pw")


async def test_what_the_account_may_do_it_can(restricted: NatsServer) -> None:
    bus = await _as_asr(restricted)
    await bus.subscribe("vv.cancel.*", lambda message: None)
    await bus.store(subjects.result("asr", SID), b"x")
    await bus.ping()
    await bus.aclose()


async def test_a_subscription_that_is_not_allowed_is_an_error_and_fatal(
    restricted: NatsServer,
) -> None:
    bus = await _as_asr(restricted)
    with structlog.testing.capture_logs() as lines, pytest.raises(Forbidden, match=r"vv\.event"):
        await bus.subscribe("vv.event.*.*", lambda message: None)
    assert any("permissions violation" in line.get("error", "").lower() for line in lines)
    with pytest.raises(Forbidden):
        await bus.ping()
    await bus.aclose()


async def test_a_write_that_is_not_allowed_is_an_error_and_fatal(restricted: NatsServer) -> None:
    bus = await _as_asr(restricted)
    started = time.monotonic()
    with pytest.raises(Forbidden, match=r"vv\.event"):
        await bus.store(subjects.event("turn", SID), b"x")
    assert time.monotonic() - started < 4  # not the whole budget
    await bus.aclose()


async def test_a_core_message_that_is_not_allowed_fails_the_readiness(
    restricted: NatsServer,
) -> None:
    bus = await _as_asr(restricted)
    await bus.publish(subjects.cancel(SID), b"x")
    with pytest.raises(Forbidden):
        await bus.ping()
    await bus.aclose()
