"""From a job to a held session and to its end, as protocol.md §5 says it; the bus is in memory."""

import asyncio

import pytest

from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import until
from tests.unit.egress.conftest import MovableClock
from tests.unit.egress.stage import SID, Stage
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.errors import AvatarTrouble, RoomUnavailable
from visavis_runtime import subjects
from visavis_runtime.bus import Guard, Receipt
from visavis_runtime.errors import WrongRevision

CREATING, ACTIVE = api.SESSION_STATE_CREATING, api.SESSION_STATE_ACTIVE
ENDING, ENDED = api.SESSION_STATE_ENDING, api.SESSION_STATE_ENDED
REJECTED = api.SESSION_STATE_REJECTED
DOWN = RoomUnavailable("LiveKit did not answer")


# Who may begin


async def test_a_fresh_session_is_begun(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        status = await stage.status()
        assert status.state == ACTIVE
        assert (status.avatar.provider, status.avatar.mode) == ("none", "audio_only")
        assert stage.admin.rooms == {SID}
        await held.person_comes()
        facts = [one.WhichOneof("fact") for one in await stage.records()]
        assert facts[0] == "lease"
        assert {one.generation for one in await stage.records()} == {1}


async def test_an_old_session_that_nobody_took_is_rejected(
    stage: Stage, server_clock: MovableClock
) -> None:
    await stage.ask_for()
    server_clock.offset_s += 10.1
    await (await stage.holder()).run()
    assert (await stage.status()).state == REJECTED
    assert not stage.rooms
    assert not await stage.has_job()


async def test_a_session_that_is_nearly_old_is_begun(
    stage: Stage, server_clock: MovableClock
) -> None:
    await stage.ask_for()
    server_clock.offset_s += 9.5
    async with stage.held():
        assert (await stage.status()).state == ACTIVE


@pytest.mark.parametrize("state", [ACTIVE, ENDING])
async def test_a_running_session_is_taken_over_however_old(
    stage: Stage, server_clock: MovableClock, state: "api.SessionState.ValueType"
) -> None:
    await stage.ask_for()
    await stage.set_status(state)
    server_clock.offset_s += 3600.0
    async with stage.held() as held:
        await held.person_comes()
        assert (await stage.status()).state == state


@pytest.mark.parametrize("state", [REJECTED, ENDED])
async def test_what_is_over_is_cleared_and_nothing_starts(
    stage: Stage, state: "api.SessionState.ValueType"
) -> None:
    await stage.ask_for()
    await stage.set_status(state)
    stage.admin.rooms.add(SID)
    await (await stage.holder()).run()
    assert stage.admin.acts == [("delete", SID)]
    assert not await stage.has_job()
    assert not await stage.records()
    assert not stage.rooms


async def test_a_job_of_an_unknown_session_is_cleared(stage: Stage) -> None:
    await stage.bus.store(subjects.job(SID), b"\xff\xff not a job")
    await (await stage.holder()).run()
    assert stage.admin.acts == [("delete", SID)]
    assert not await stage.has_job()


@pytest.mark.parametrize(
    ("other", "expected"), [(REJECTED, REJECTED), (ACTIVE, ACTIVE), (CREATING, ACTIVE)]
)
async def test_who_loses_the_compare_and_set_follows_what_it_reads(
    stage: Stage,
    server: MemoryServer,
    other: "api.SessionState.ValueType",
    expected: "api.SessionState.ValueType",
) -> None:
    class Rivalled(MemoryBus):
        is_first = True

        async def update(self, key: str, value: bytes, revision: int) -> int:
            if self.is_first and key.endswith(".status"):
                self.is_first = False
                await stage.set_status(other)
            return await super().update(key, value, revision)

    await stage.ask_for()
    holder = await stage.holder(Rivalled(server))
    running = asyncio.create_task(holder.run())
    if expected == REJECTED:
        await asyncio.wait_for(running, 2.0)
        assert not await stage.has_job()
        assert stage.admin.rooms == set()
    else:
        await until(lambda: stage.rooms and stage.rooms[0].opened.is_set(), "held")
        running.cancel()
        await asyncio.wait([running])
    assert (await stage.status()).state == expected


async def test_the_lease_comes_before_the_room(stage: Stage) -> None:
    """A holder that another one overtakes creates nothing and changes nothing."""
    await stage.ask_for()
    bus = stage.server.connect()
    holder = await stage.holder(bus)

    async def overtaken(*_: object, **__: object) -> None:
        raise WrongRevision(SID)

    stage.admin.errors = [DOWN]
    bus.update = overtaken  # type: ignore[method-assign, assignment]
    await holder.run()
    assert [one.WhichOneof("fact") for one in await stage.records()] == ["lease", "lease"]
    assert (await stage.status()).state == CREATING


# The end


async def test_the_end_is_told_last_and_then_done(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        stage.stages.is_mute = True
        await stage.say("Something long.")
        await stage.request_end()
        await stage.control(pb.ControlRequest(end=pb.EndCall()))
        await held.over()
        *earlier, last = await stage.records()
        assert last.event.session.step == api.SessionChanged.STEP_ENDED
        assert last.event.session.reason == api.END_REASON_API
        # The turn that was cut off is settled before it.
        steps = [one.event.turn.step for one in earlier if one.event.WhichOneof("kind") == "turn"]
        assert steps == [api.TurnEvent.STEP_COMMITTED, api.TurnEvent.STEP_INTERRUPTED]
        status = await stage.status()
        assert (status.state, status.end_reason) == (ENDED, api.END_REASON_API)
        assert not stage.admin.rooms
        assert not await stage.has_job()
        assert held.room.closed == 1
        assert [one.closed for one in held.cast.made] == [1]


async def test_nothing_is_told_after_the_end_however_slow_the_bus(
    stage: Stage, server: MemoryServer
) -> None:
    class Slow(MemoryBus):
        async def store(
            self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
        ) -> Receipt:
            if subject.startswith("vv.event."):
                await asyncio.sleep(0.02)
            if subject == subjects.event("session", SID) and stage.casts[0].made:
                stage.casts[0].made[0].on_lost(AvatarTrouble("connectionClosed"))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            return await super().store(subject, data, message_id=message_id, guard=guard)

    await stage.ask_for()
    async with stage.held(Slow(server)) as held:
        await held.person_comes()
        stage.stages.is_mute = True
        await stage.say("Something long.")
        await stage.request_end()
        await stage.control(pb.ControlRequest(end=pb.EndCall()))
        await held.over()
    *_, outcome, checkpoint, end = await stage.records()
    assert outcome.event.turn.step == api.TurnEvent.STEP_INTERRUPTED
    assert checkpoint.HasField("checkpoint")
    assert end.event.session.step == api.SessionChanged.STEP_ENDED


async def test_an_end_that_was_asked_for_early_is_found_at_the_take_over(stage: Stage) -> None:
    await stage.ask_for()
    await stage.request_end()
    await (await stage.holder()).run()
    assert (await stage.status()).state == ENDED
    assert not stage.rooms  # it is not even joined
    assert (await stage.records())[-1].event.session.reason == api.END_REASON_API


async def test_an_end_that_was_cut_off_is_wound_up(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        stage.admin.errors = [DOWN]
        await stage.request_end()
        await stage.control(pb.ControlRequest(end=pb.EndCall()))
        await held.over()
    assert (await stage.status()).state == ACTIVE  # the room could not be deleted
    await (await stage.holder()).run()
    status = await stage.status()
    assert (status.state, status.end_reason) == (ENDED, api.END_REASON_API)
    assert len(stage.rooms) == 1
    assert not stage.admin.rooms
    assert not await stage.has_job()
    ends = [one for one in await stage.records("session") if one.event.session.reason]
    assert len(ends) == 1


async def test_a_session_that_workers_die_of_is_ended(
    stage: Stage, server_clock: MovableClock
) -> None:
    await stage.ask_for()
    for _ in range(3):
        async with stage.held():
            pass
        server_clock.offset_s += 20.1
    await (await stage.holder()).run()
    status = await stage.status()
    assert (status.state, status.end_reason) == (ENDED, api.END_REASON_WORKER_LOST)
    assert (await stage.records())[-1].event.session.reason == api.END_REASON_WORKER_LOST
    assert len(stage.rooms) == 3
    assert not await stage.has_job()
