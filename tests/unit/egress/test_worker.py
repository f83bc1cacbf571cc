"""Sessions taken while a slot is free, and handed on when the process is asked to stop."""

import asyncio

import pytest

from tests.support.memory_bus import MemoryServer
from tests.support.waiting import until
from tests.unit.egress.stage import SID, Stage
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.holder import Holder
from visavis_egress.room import PersonCame
from visavis_egress.worker import Worker
from visavis_runtime import subjects
from visavis_runtime.errors import BusUnavailable

SIDS = [f"01J0000000000000000000000{number}" for number in range(4)]


class Process:
    """A worker that runs until it is told to stop."""

    def __init__(self, stage: Stage, slots: int) -> None:
        self.worker, self.stopping = Worker(stage.hall(), slots), asyncio.Event()
        self.running = asyncio.create_task(self.worker.run(self.stopping))

    async def stop(self, within_s: float = 5.0) -> None:
        self.stopping.set()
        await asyncio.wait_for(asyncio.shield(self.running), within_s)


async def _states(stage: Stage) -> list[str]:
    states = [(await stage.status(sid)).state for sid in SIDS]
    return [api.SessionState.Name(state).removeprefix("SESSION_STATE_") for state in states]


async def _opened(stage: Stage, count: int) -> None:
    await until(lambda: sum(room.opened.is_set() for room in stage.rooms) == count, "rooms open")


async def test_a_process_takes_as_many_sessions_as_it_has_slots(stage: Stage) -> None:
    for sid in SIDS:
        await stage.ask_for(sid)
    process = Process(stage, slots=2)
    await _opened(stage, 2)
    await asyncio.sleep(0.1)
    assert await _states(stage) == ["ACTIVE", "ACTIVE", "CREATING", "CREATING"]
    await stage.request_end(SIDS[0])
    await stage.control(pb.ControlRequest(end=pb.EndCall()), SIDS[0])
    await _opened(stage, 3)
    assert (await stage.status(SIDS[0])).state == api.SESSION_STATE_ENDED
    await process.stop()


async def test_two_processes_share_the_sessions(stage: Stage) -> None:
    for sid in SIDS:
        await stage.ask_for(sid)
    processes = [Process(stage, slots=2), Process(stage, slots=2)]
    await _opened(stage, 4)
    assert await _states(stage) == ["ACTIVE"] * 4
    for process in processes:
        await process.stop()


async def test_what_a_leaving_process_held_goes_on_in_another_one(stage: Stage) -> None:
    for sid in SIDS:
        await stage.ask_for(sid)
    leaving = Process(stage, slots=4)
    await _opened(stage, 4)
    staying = Process(stage, slots=4)
    await leaving.stop()
    await _opened(stage, 8)
    assert await _states(stage) == ["ACTIVE"] * 4
    for sid in SIDS:
        taken = [one.lease.released for one in await stage.records("lease", sid)]
        assert taken == [False, True, False]
    assert [room.closed for room in stage.rooms] == [1] * 4 + [0] * 4
    await staying.stop()


async def test_handing_on_does_not_wait_for_the_fetch(stage: Stage, server: MemoryServer) -> None:
    server.longest_fetch_s = 1.0
    await stage.ask_for()
    process = Process(stage, slots=2)
    await _opened(stage, 1)
    process.stopping.set()
    await until(lambda: stage.rooms[0].closed, "handed on", within_s=0.5)
    await process.stop()


async def test_a_session_that_comes_too_late_goes_back(stage: Stage, server: MemoryServer) -> None:
    server.longest_fetch_s = 1.0
    process = Process(stage, slots=2)
    await asyncio.sleep(0.05)  # it is fetching
    process.stopping.set()
    await stage.ask_for()
    await process.stop()
    assert not stage.rooms
    assert await stage.job_is_free()


async def test_a_full_process_stops_at_once(stage: Stage) -> None:
    await stage.ask_for()
    process = Process(stage, slots=1)
    await _opened(stage, 1)
    await process.stop(within_s=1.0)
    assert await stage.job_is_free()


async def test_it_waits_for_a_consumer_that_does_not_exist_yet(
    stage: Stage, server: MemoryServer
) -> None:
    consumers = server.streams[subjects.JOBS].consumers
    consumer = consumers.pop("egress")
    process = Process(stage, slots=1)
    await asyncio.sleep(0.05)
    assert not process.running.done()
    consumers["egress"] = consumer
    await stage.ask_for()
    await _opened(stage, 1)
    await process.stop()


async def test_it_can_be_stopped_while_it_waits_for_the_consumer(
    stage: Stage, server: MemoryServer
) -> None:
    server.streams[subjects.JOBS].consumers.pop("egress")
    process = Process(stage, slots=1)
    await asyncio.sleep(0.01)
    await process.stop(within_s=1.0)


async def test_it_goes_on_after_the_bus_was_away(stage: Stage, server: MemoryServer) -> None:
    process = Process(stage, slots=1)
    await asyncio.sleep(0.01)
    server.down = True
    await asyncio.sleep(0.1)
    server.down = False
    await stage.ask_for()
    await _opened(stage, 1)
    await process.stop()


async def test_a_crashed_session_frees_its_slot(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Holder.run

    async def crashes_once(self: Holder) -> None:
        monkeypatch.setattr(Holder, "run", run)
        raise ZeroDivisionError

    monkeypatch.setattr(Holder, "run", crashes_once)
    await stage.ask_for(SIDS[0])
    process = Process(stage, slots=1)
    await asyncio.sleep(0.1)
    await stage.ask_for(SIDS[1])
    await _opened(stage, 1)
    stage.rooms[0].tell(PersonCame())
    assert process.worker._holders
    await process.stop()


async def test_a_drain_that_fails_does_not_keep_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain, failed = Holder.drain, list[Holder]()

    async def fails_once(self: Holder) -> None:
        if not failed:
            failed.append(self)
            raise BusUnavailable("as scripted")
        await drain(self)

    monkeypatch.setattr(Holder, "drain", fails_once)
    monkeypatch.setattr("visavis_egress.worker._LEAVE_S", 0.2)
    for sid in SIDS[:2]:
        await stage.ask_for(sid)
    process = Process(stage, slots=2)
    await _opened(stage, 2)
    await process.stop()
    assert sorted(room.closed for room in stage.rooms) == [0, 1]
    for task in process.worker._holders:
        task.cancel()
    await asyncio.wait(process.worker._holders)


def test_the_session_is_the_last_part_of_the_subject() -> None:
    assert subjects.session_of(subjects.job(SID)) == SID
