"""The calls that reach a held session: typed texts, interruptions, changes, the person's own."""

import asyncio
from dataclasses import replace

import pytest

from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import until
from tests.unit.egress.conftest import MovableClock
from tests.unit.egress.stage import SID, TIMING, Held, Stage
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.room import EndAsked, InterruptAsked, PersonCame
from visavis_runtime.bus import Entry, Guard, Receipt


@pytest.fixture
async def stage(server: MemoryServer) -> Stage:
    """The bus, the model stages at work, no process yet."""
    one = Stage(server)
    await one.stages.listen()
    await one.ask_for()
    return one


def _text(text: str, request_id: str = "t") -> pb.ControlRequest:
    return pb.ControlRequest(text=pb.TextCall(request_id=request_id, text=text))


async def _change(stage: Stage, **values: str) -> None:
    """What UpdateSession writes."""
    entry = await stage.bus.read(f"{SID}.spec")
    assert entry
    spec = pb.SessionSpec.FromString(entry.value)
    for name, value in values.items():
        setattr(spec if name == "participant_identity" else spec.resolved, name, value)
    await stage.bus.update(f"{SID}.spec", spec.SerializeToString(), entry.revision)


async def _begin_endless(stage: Stage, held: Held) -> int:
    """An answer that is being played and gets no end; its turn."""
    held.cast.made[-1].is_frozen = True
    turn = (await stage.say("Something long.", "endless")).turn
    await until(lambda: ("state", "speaking") in held.room.shown, "speaking")
    return turn


async def test_a_typed_text_interrupts_and_is_answered(stage: Stage) -> None:
    async with stage.held() as held:
        await held.person_comes()
        said = await _begin_endless(stage, held)
        held.cast.made[-1].is_frozen = False
        reply = await stage.control(_text("  Why?  "))
        assert reply.turn == said + 1
        stopped = await stage.until_turn(said, "INTERRUPTED")
        answered = await stage.until_turn(reply.turn, "COMPLETED")
        assert stopped.origin == api.TurnEvent.ORIGIN_SAY
        assert (answered.origin, answered.input_text) == (api.TurnEvent.ORIGIN_TEXT, "Why?")
        assert [one.content for one in stage.stages.asked[-1].messages][-1] == "Why?"
        assert any(shown[0] == "user" and shown[-1] == "Why?" for shown in held.room.shown)


async def test_a_repeated_text_interrupts_nothing_and_asks_nothing(
    stage: Stage, server_clock: MovableClock
) -> None:
    async with stage.held() as held:
        await held.person_comes()
        held.cast.made[-1].is_frozen = True
        replies = await asyncio.gather(*(stage.control(_text("Why?")) for _ in range(3)))
        assert {reply.turn for reply in replies} == {1}
        await until(lambda: ("state", "speaking") in held.room.shown, "speaking")
        assert (await stage.control(_text("Why?"))).turn == 1
        assert "interrupt" not in held.cast.made[-1].acts
    # Its successor knows the text too, from before it spoke a word.
    server_clock.offset_s += 20.1
    async with stage.held() as held:
        assert (await stage.control(_text("Why?"))).turn == 1
        committed = [
            one.event.turn
            for one in await stage.records("turn")
            if one.event.turn.step == api.TurnEvent.STEP_COMMITTED
        ]
        assert [turn.input_text for turn in committed] == ["Why?"]


async def test_an_interruption_stops_the_running_answer_and_tells_which(stage: Stage) -> None:
    interrupt = pb.ControlRequest(interrupt=pb.InterruptCall())
    async with stage.held() as held:
        await held.person_comes()
        nothing = await stage.control(interrupt)
        assert (nothing.turn, nothing.interrupted) == (0, False)
        turn = await _begin_endless(stage, held)
        stopped = await stage.control(interrupt)
        assert (stopped.turn, stopped.interrupted) == (turn, True)
        assert (await stage.until_turn(turn, "INTERRUPTED")).turn == turn
        assert held.cast.made[-1].acts[-1] == "interrupt"


async def test_a_change_holds_from_the_next_turn_on(stage: Stage) -> None:
    await _change(stage, instructions="Be long.", voice="old")
    async with stage.held() as held:
        await held.person_comes()
        first = (await stage.control(_text("One?", "1"))).turn
        await stage.until_turn(first, "COMPLETED")
        await _change(stage, instructions="Be brief.", voice="new")
        reply = await stage.control(pb.ControlRequest(update=pb.UpdateCall()))
        assert not reply.HasField("error")
        second = (await stage.control(_text("Two?", "2"))).turn
        await stage.until_turn(second, "COMPLETED")
        works = stage.stages.asked
        assert [work.messages[0].content for work in works] == ["Be long.", "Be brief."]
        assert [work.voice for work in works] == ["old", "new"]


async def test_a_running_answer_keeps_its_voice(stage: Stage) -> None:
    await _change(stage, voice="old")
    stage.timing = replace(TIMING, sentence_timeout_s=0.5)
    async with stage.held() as held:
        await held.person_comes()
        stage.stages.is_mute = True
        turn = (await stage.control(_text("One?"))).turn
        await until(lambda: any(one.address.turn == turn for one in stage.stages.spoken), "asked")
        await _change(stage, voice="new")
        await stage.control(pb.ControlRequest(update=pb.UpdateCall()))
        await until(lambda: stage.stages.spoken[-1].attempt == 1, "asked again")
        assert stage.stages.spoken[-1].voice == "old"


UPDATE = pb.ControlRequest(update=pb.UpdateCall())


async def _seen(stage: Stage) -> list[str]:
    """Who came and went, as the events tell it."""
    steps = [record.event.user.step for record in await stage.records("user")]
    return [api.UserEvent.Step.Name(step).removeprefix("STEP_") for step in steps]


async def test_another_person_is_bound_and_the_running_answer_goes_on(stage: Stage) -> None:
    async with stage.held() as held:
        await held.person_comes()
        turn = await _begin_endless(stage, held)
        held.room.present.add("bob")
        await _change(stage, participant_identity="bob")
        assert held.room.person == "person"
        for _ in range(2):
            assert not (await stage.control(UPDATE)).HasField("error")
        assert held.room.person == "bob"
        assert "interrupt" not in held.cast.made[-1].acts
        held.room.tell(InterruptAsked())
        assert (await stage.until_turn(turn, "INTERRUPTED")).turn == turn
        assert await _seen(stage) == ["JOINED", "LEFT", "JOINED"]


async def test_the_next_person_need_not_be_there_yet(stage: Stage) -> None:
    async with stage.held() as held:
        await held.person_comes()
        await _change(stage, participant_identity="bob")
        await stage.control(UPDATE)
        await until(lambda: held.room.shown[-1] == ("state", "idle"), "idle")
        turn = (await stage.say("For Bob.")).turn
        held.room.tell(PersonCame())
        assert (await stage.until_turn(turn, "COMPLETED")).heard_text == "For Bob."
        assert await _seen(stage) == ["JOINED", "LEFT", "JOINED"]


async def test_a_successor_binds_who_was_bound_last(
    stage: Stage, server_clock: MovableClock
) -> None:
    async with stage.held() as held:
        await held.person_comes()
        await _change(stage, participant_identity="bob")
    server_clock.offset_s += 20.1
    async with stage.held() as held:
        assert held.room.person == "bob"


async def test_a_look_at_a_replica_that_lags_changes_nothing_back(stage: Stage) -> None:
    class Lagging(MemoryBus):
        """Gives its first answer again once `lags`."""

        first: Entry | None = None
        lags = False

        async def read(self, key: str) -> Entry | None:
            entry = await super().read(key)
            if key.endswith(".spec"):
                self.first = self.first or entry
                return self.first if self.lags else entry
            return entry

    bus = Lagging(stage.server)
    async with stage.held(bus) as held:
        await held.person_comes()
        await _change(stage, participant_identity="bob")
        await stage.control(UPDATE)
        bus.lags = True
        await stage.control(UPDATE)
        assert held.room.person == "bob"


async def test_the_person_interrupts_and_hangs_up(stage: Stage) -> None:
    async with stage.held() as held:
        await held.person_comes()
        turn = await _begin_endless(stage, held)
        held.room.tell(InterruptAsked())
        await stage.until_turn(turn, "INTERRUPTED")
        held.room.tell(EndAsked())
        await held.over()
        status = await stage.status()
        assert status.state == api.SESSION_STATE_ENDED
        assert status.end_reason == api.END_REASON_CLIENT_LEFT


@pytest.mark.parametrize(("request_id", "text"), [("", "x"), ("t", "  "), ("t", "x" * 2001)])
async def test_a_text_that_cannot_be_is_refused(stage: Stage, request_id: str, text: str) -> None:
    async with stage.held() as held:
        await held.person_comes()
        assert (await stage.control(_text(text, request_id))).error.code == "INVALID"


async def test_a_turn_whose_confirmation_got_lost_is_answered_all_the_same(stage: Stage) -> None:
    class Forgetful(MemoryBus):
        """Stores every turn twice, as after a lost confirmation."""

        async def store(
            self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
        ) -> Receipt:
            receipt = await super().store(subject, data, message_id=message_id, guard=guard)
            if "/req/" in message_id:
                return await super().store(subject, data, message_id=message_id, guard=guard)
            return receipt

    async with stage.held(Forgetful(stage.server)) as held:
        await held.person_comes()
        turn = (await stage.control(_text("Why?"))).turn
        assert (await stage.until_turn(turn, "COMPLETED")).heard_text == "Because."
