"""A session passes from one holder to the next; calls to whoever holds it."""

import asyncio

import pytest

from tests.support.fake_room import FakeRoom
from tests.support.waiting import until
from tests.unit.egress.conftest import MovableClock
from tests.unit.egress.stage import GREETING, SID, Stage
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.errors import RoomUnavailable
from visavis_egress.room import ChatArrived, ChatRefused, PersonWent, RoomLost
from visavis_runtime import subjects
from visavis_runtime.bus import Message
from visavis_runtime.errors import NobodyThere

ENDED = api.SESSION_STATE_ENDED
ACTIVE = api.SESSION_STATE_ACTIVE
DOWN = RoomUnavailable("LiveKit did not answer")


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

    async def slow(session_id: str) -> str:
        room = await create(session_id)
        await gate.wait()
        return room

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
