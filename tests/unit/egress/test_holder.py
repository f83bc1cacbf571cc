"""From a job to a held session and to its end, as protocol.md §5 says it; the bus is in memory."""

import asyncio

import pytest

from tests.support.fake_room import FakeRoom
from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import until
from tests.unit.egress.conftest import MovableClock
from tests.unit.egress.stage import GREETING, SID, Stage
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.errors import AvatarTrouble, RoomUnavailable
from visavis_egress.room import ChatArrived, ChatRefused, PersonWent, RoomLost
from visavis_runtime import subjects
from visavis_runtime.bus import Guard, Message, Receipt
from visavis_runtime.errors import NobodyThere, WrongRevision

CREATING, ACTIVE = api.SESSION_STATE_CREATING, api.SESSION_STATE_ACTIVE
ENDING, ENDED = api.SESSION_STATE_ENDING, api.SESSION_STATE_ENDED
REJECTED = api.SESSION_STATE_REJECTED
DOWN = RoomUnavailable("LiveKit did not answer")


@pytest.fixture
async def stage(server: MemoryServer) -> Stage:
    """The bus, the model stages at work, no process yet."""
    one = Stage(server)
    await one.stages.listen()
    return one


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


# Handing on


async def test_a_successor_goes_on_where_the_dead_one_stopped(
    stage: Stage, server_clock: MovableClock
) -> None:
    await stage.ask_for()
    async with stage.held() as first:
        await first.person_comes()
        first.room.tell(ChatArrived("Why?"))
        await stage.until_turn(1, "COMPLETED")
        first.room.tell(ChatArrived("And then?"))
        stage.stages.is_mute = True
        await stage.until_turn(2, "COMMITTED")
        await until(lambda: len(stage.stages.asked) == 2, "asked")
    stage.stages.is_mute = False
    server_clock.offset_s += 20.1
    async with stage.held() as second:
        await second.person_comes()
        outcome = await stage.until_turn(2, "COMPLETED")
        assert outcome.heard_text == "Because."
        second.room.tell(ChatArrived("Really?"))
        await stage.until_turn(3, "COMPLETED")
    asked = stage.stages.asked[-1]
    assert [(one.role, one.content) for one in asked.messages[1:]] == [
        ("user", "Why?"),
        ("assistant", "Because."),
        ("user", "And then?"),
        ("assistant", "Because."),
        ("user", "Really?"),
    ]
    assert asked.address.generation == 2
    outcomes = [one.event.turn for one in await stage.records("turn") if one.event.turn.heard_text]
    assert [(one.turn, one.heard_text) for one in outcomes] == [
        (number, "Because.") for number in (1, 2, 3)
    ]


async def test_a_drained_session_is_saved_released_and_given_back(stage: Stage) -> None:
    await stage.ask_for(greeting=GREETING)
    async with stage.held() as held:
        await held.person_comes()
        await stage.until_turn(0, "COMPLETED")
        await held.holder.drain()
        await held.over()
        checkpoint, released = (await stage.records())[-2:]
        assert checkpoint.checkpoint.history[0].content == GREETING
        assert released.lease.released
        assert (await stage.status()).state == ACTIVE
        assert stage.admin.rooms == {SID}
        assert held.room.closed == 1
        assert await stage.job_is_free()


async def test_a_drain_waits_for_the_end_of_the_turn(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        stage.stages.is_mute = True
        await stage.say("Wait for me.")
        draining = asyncio.create_task(held.holder.drain())
        await asyncio.sleep(0.1)
        assert not draining.done()
        await stage.say("I am for the successor.", "r2")
        stage.stages.is_mute = False
        stage.stages._synthesize(_work(stage.stages.spoken[-1]))
        await draining
        await held.over()
    assert (await stage.until_turn(1, "COMPLETED")).heard_text == "Wait for me."
    async with stage.held() as second:
        await second.person_comes()
        assert (await stage.until_turn(2, "COMPLETED")).heard_text == "I am for the successor."


def _work(work: pb.SynthesizeWork) -> Message:
    return Message(subjects.work("tts", SID), work.SerializeToString())


async def test_a_drain_while_the_lease_is_taken_hands_on(stage: Stage) -> None:
    await stage.ask_for()
    holder = await stage.holder()
    create, gate = stage.admin.create, asyncio.Event()

    async def slow(session_id: str) -> None:
        await create(session_id)
        await gate.wait()

    stage.admin.create = slow  # type: ignore[method-assign]
    running = asyncio.create_task(holder.run())
    await until(lambda: stage.admin.acts, "creating the room")
    await holder.drain()
    gate.set()
    await asyncio.wait_for(running, 2.0)
    assert not stage.rooms
    assert (await stage.records("lease"))[-1].lease.released
    assert await stage.job_is_free()


async def test_trouble_before_the_lease_gives_the_job_back(stage: Stage) -> None:
    await stage.ask_for()
    await stage.set_status(ENDED)
    stage.admin.errors = [DOWN]
    await (await stage.holder()).run()
    assert not await stage.records()
    assert await stage.job_is_free()


@pytest.mark.parametrize("where", ["create", "open"])
async def test_trouble_with_the_room_hands_the_session_on(stage: Stage, where: str) -> None:
    await stage.ask_for()
    if where == "create":
        stage.admin.errors = [DOWN]
    else:
        stage.next_room = lambda: FakeRoom(open_error=DOWN)
    await (await stage.holder()).run()
    assert (await stage.records("lease"))[-1].lease.released
    assert await stage.has_job()
    # Nobody of the dead session answers any more.
    with pytest.raises(NobodyThere):
        await stage.control(b"")
    await asyncio.sleep(0.5)  # not at once again: it would be the same
    stage.next_room = FakeRoom
    async with stage.held() as held:
        await held.person_comes()
        assert (await stage.records("lease"))[-1].generation == 2


async def test_a_lost_room_hands_the_session_on(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        held.room.tell(RoomLost("SIGNAL_CLOSE", is_replaced=False))
        await held.over()
    assert (await stage.records("lease"))[-1].lease.released


async def test_a_holder_that_was_replaced_in_the_room_gives_nothing_back(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        held.room.tell(RoomLost("DUPLICATE_IDENTITY", is_replaced=True))
        await held.over()
    assert not (await stage.records("lease"))[-1].lease.released
    assert not await stage.job_is_free(0.6)


async def test_a_holder_with_a_successor_leaves_without_a_word(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        record = pb.EventRecord(generation=2, lease=pb.Lease(instance="successor"))
        await stage.bus.store(subjects.event("lease", SID), record.SerializeToString())
        before = len(await stage.records())
        held.room.tell(ChatArrived("Why?"))
        await held.over()
        assert len(await stage.records()) == before
        assert held.room.closed == 1
        assert [one.closed for one in held.cast.made] == [1]
    assert stage.admin.rooms == {SID}
    assert (await stage.status()).state == ACTIVE
    assert not stage.stages.asked
    assert not await stage.job_is_free(0.6)


async def test_a_defect_ends_the_holding_and_is_not_handed_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        monkeypatch.setattr(held.holder._session._conversation, "feed", 1)  # type: ignore[union-attr]
        with pytest.raises(TypeError):
            await held.over()
        assert held.room.closed == 1
    assert not (await stage.records("lease"))[-1].lease.released  # so that it counts


# Calls and refusals


async def test_a_say_is_spoken_once_however_often_it_is_asked(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        replies = await asyncio.gather(*(stage.say("Once.") for _ in range(3)))
        assert {one.turn for one in replies} == {1}
        await stage.until_turn(1, "COMPLETED")
        assert (await stage.say("Once.")).turn == 1
        assert (await stage.say("Twice.", "other")).turn > 1
        committed = [
            one.event.turn.input_text
            for one in await stage.records("turn")
            if one.event.turn.step == api.TurnEvent.STEP_COMMITTED
        ]
        assert committed == ["Once.", "Twice."]


async def test_a_say_that_a_dead_holder_stored_is_found_by_its_successor(
    stage: Stage, server_clock: MovableClock
) -> None:
    await stage.ask_for()
    async with stage.held() as first:
        await first.person_comes()
        stage.stages.is_mute = True
        assert (await stage.say("Once.")).turn == 1
    stage.stages.is_mute = False
    server_clock.offset_s += 20.1
    async with stage.held() as second:
        await second.person_comes()
        assert (await stage.say("Once.")).turn == 1
        await stage.until_turn(1, "COMPLETED")
        spoken = [one.event.turn for one in await stage.records("turn")]
        assert [one.turn for one in spoken] == [1, 1]


@pytest.mark.parametrize(
    ("request_id", "text"), [("", "Text."), ("r", ""), ("r", "   "), ("r", "x" * 2001)]
)
async def test_a_say_that_cannot_be_is_refused(stage: Stage, request_id: str, text: str) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        reply = await stage.say(text, request_id)
        assert reply.error.code == "INVALID"
        assert "text of 1 to 2000 characters" in reply.error.message


async def test_malformed_calls_are_answered(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        assert (await stage.control(b"\xff\xff\xff")).error.code == "MALFORMED"
        assert not (await stage.control(b"")).HasField("error")
        assert (await stage.say("Still there.")).turn == 1


async def test_a_text_that_the_room_refused_is_told(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        held.room.tell(ChatRefused("lk.chat: too long"))
        await _until_stored(stage, "error")
        (record,) = await stage.records("error")
        assert (record.event.error.code, record.event.error.message) == (
            "TEXT_REFUSED",
            "lk.chat: too long",
        )


async def test_coming_and_going_is_told(stage: Stage) -> None:
    await stage.ask_for()
    async with stage.held() as held:
        await held.person_comes()
        held.room.tell(PersonWent())
        await until(lambda: ("state", "idle") in held.room.shown, "idle")
        await _until_stored(stage, "user", 2)
        steps = [one.event.user.step for one in await stage.records("user")]
        assert steps == [api.UserEvent.STEP_JOINED, api.UserEvent.STEP_LEFT]


async def _until_stored(stage: Stage, kind: str, count: int = 1) -> None:
    for _ in range(500):
        if len(await stage.records(kind)) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(await stage.records())
