"""The memory bus with a clock that is moved: ages, dedup windows, ack waits."""

from tests.support.memory_bus import MemoryServer
from tests.support.memory_streams import matches
from tests.support.waiting import fetched
from tests.unit.runtime.conftest import MovableClock
from visavis_runtime import subjects

SID = "01HZX"


async def test_messages_age_out_of_their_stream(server: MemoryServer, clock: MovableClock) -> None:
    bus = server.connect()
    await bus.store(subjects.work("asr", SID), b"x")
    await bus.store(subjects.result("asr", SID), b"x")
    clock.offset_s += 61
    assert await bus.last(subjects.WORK, subjects.work("asr", SID), leader=True) is None
    assert await bus.last(subjects.RESULTS, subjects.result("asr", SID))
    clock.offset_s += 3600
    assert await bus.last(subjects.RESULTS, subjects.result("asr", SID)) is None


async def test_ids_are_known_inside_the_window_only(
    server: MemoryServer, clock: MovableClock
) -> None:
    bus, event = server.connect(), subjects.event("turn", SID)
    await bus.store(event, b"x", message_id="id")
    clock.offset_s += 119
    assert (await bus.store(event, b"x", message_id="id")).duplicate
    clock.offset_s += 2
    assert not (await bus.store(event, b"x", message_id="id")).duplicate


async def test_the_lease_comes_back_after_its_ack_wait(
    server: MemoryServer, clock: MovableClock
) -> None:
    bus = server.connect()
    await bus.store(subjects.job(SID), b"job")
    queue = await bus.work(subjects.JOBS, "egress")
    lease = await fetched(queue)
    clock.offset_s += 19
    await lease.renew()
    clock.offset_s += 19
    assert await queue.fetch(0.01) is None
    clock.offset_s += 2
    assert (await fetched(queue)).deliveries == 2


def test_subject_patterns() -> None:
    assert matches("vv.event.*.*", "vv.event.turn.s")
    assert not matches("vv.event.*.*", "vv.event.turn")
    assert not matches("vv.event.*.*", "vv.event.turn.s.more")
    assert matches("vv.>", "vv.event.turn.s")
    assert not matches("vv.>", "vv")
    assert matches("vv.cancel.s", "vv.cancel.s")
