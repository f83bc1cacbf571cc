"""Turn taking on its way between the API and the conversation: numbers, calls, room, events."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.unit.egress.stage import SID
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress import records, recovery
from visavis_egress.control import Control
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.config import PROFILES, TurnTaking
from visavis_egress.room import TurnEndAsked, TurnStartAsked
from visavis_egress.turn_taking import turn_taking
from visavis_runtime import subjects
from visavis_runtime.bus import Stored

Profile = api.TurnTaking.Profile


def _s(seconds: float) -> Duration:
    return Duration(nanos=round(seconds * 1e9) % 10**9, seconds=int(seconds))


def test_every_profile_of_the_contract_has_its_values() -> None:
    for name, number in Profile.items():
        wanted = name.removeprefix("PROFILE_").lower()
        wanted = "balanced" if wanted == "unspecified" else wanted
        assert turn_taking(api.TurnTaking(profile=number)) == PROFILES[wanted]
    assert turn_taking(api.TurnTaking()) == TurnTaking()
    assert turn_taking(api.TurnTaking(profile=99)) == TurnTaking()  # type: ignore[arg-type]


def test_what_is_set_replaces_the_profiles_values_and_nothing_else() -> None:
    message = api.TurnTaking(
        profile=api.TurnTaking.PROFILE_PATIENT,
        dip=_s(0.15),
        min_delay=_s(0.5),
        mid_delay=_s(1.25),
        max_delay=_s(4.5),
        interrupt_after=_s(0.7),
        interrupt_words=0,
        interrupt_thinking_after=_s(0.2),
        interrupt_thinking_words=3,
        interruptible=False,
        speculation=False,
        nudge_after=_s(20),
    )
    assert turn_taking(message) == TurnTaking(
        dip_s=0.15,
        min_delay_s=0.5,
        mid_delay_s=1.25,
        max_delay_s=4.5,
        interrupt_after_s=0.7,
        interrupt_words=0,
        interrupt_thinking_after_s=0.2,
        interrupt_thinking_words=3,
        interruptible=False,
        speculation=False,
        nudge_after_s=20.0,
    )
    manual = turn_taking(api.TurnTaking(profile=api.TurnTaking.PROFILE_MANUAL, min_delay=_s(0.1)))
    assert (manual.manual, manual.min_delay_s) == (True, 0.1)


@pytest.mark.parametrize(
    ("wanted", "delays"),
    [
        ({"min_delay": 3.0}, (3.0, 3.0, 3.0)),
        ({"max_delay": 0.2}, (0.2, 0.2, 0.2)),
        ({"mid_delay": 0.1}, (0.1, 0.1, 2.5)),
        ({"mid_delay": 4.0}, (0.3, 4.0, 4.0)),
        ({"min_delay": 1.0, "max_delay": 2.0}, (1.0, 1.0, 2.0)),
        ({"min_delay": 0.4}, (0.4, 0.8, 2.5)),
    ],
)
def test_the_profiles_delays_give_way_to_those_that_are_set(
    wanted: dict[str, float], delays: tuple[float, float, float]
) -> None:
    message = api.TurnTaking(**{name: _s(value) for name, value in wanted.items()})  # type: ignore[arg-type]
    numbers = turn_taking(message)
    assert (numbers.min_delay_s, numbers.mid_delay_s, numbers.max_delay_s) == delays


# The calls


class Desk:
    """The holder's end of the calls; every turn that is wished for is committed at once."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus, self.fed = bus, list[on.Event]()
        over: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.control = Control(bus, SID, self._feed, over, lambda: None, lambda _: None)

    def _feed(self, event: on.Event) -> None:
        self.fed.append(event)
        if isinstance(event, on.SayRequested):
            self.control.committed(event.request_id, 1)

    async def ask(self, request: pb.ControlRequest) -> pb.ControlReply:
        data = request.SerializeToString()
        answer = await self.bus.request(subjects.control(SID), data, timeout_s=5.0)
        return pb.ControlReply.FromString(answer)


@pytest.fixture
async def desk(server: MemoryServer) -> AsyncIterator[Desk]:
    one = Desk(server.connect())
    serving = await one.control.serve()
    yield one
    await serving.aclose()


async def test_a_text_may_be_said_without_letting_it_be_interrupted(desk: Desk) -> None:
    for number, uninterruptible in enumerate((False, True)):
        call = pb.SayCall(request_id=f"r{number}", text="Hi.", uninterruptible=uninterruptible)
        assert (await desk.ask(pb.ControlRequest(say=call))).turn == 1
    assert desk.fed == [
        on.SayRequested("r0", "Hi.", interruptible=True),
        on.SayRequested("r1", "Hi.", interruptible=False),
    ]


async def test_a_change_of_turn_taking_is_seen_at_the_next_look(desk: Desk) -> None:
    spec = pb.SessionSpec(session_id=SID)
    revision = await desk.bus.create(f"{SID}.spec", spec.SerializeToString())
    await desk.control.look()
    assert desk.fed == [on.PersonaChanged("", "")]
    spec.resolved.turn_taking.profile = api.TurnTaking.PROFILE_MANUAL
    await desk.bus.update(f"{SID}.spec", spec.SerializeToString(), revision)
    reply = await desk.ask(pb.ControlRequest(update=pb.UpdateCall()))
    assert not reply.HasField("error")
    assert desk.fed[1:] == [
        on.PersonaChanged("", ""), on.TurnTakingChanged(PROFILES["manual"])
    ]  # fmt: skip


# The room and the stream


def test_the_button_of_push_to_talk_reaches_the_conversation() -> None:
    assert records.room_fact(TurnStartAsked()) == on.TalkPressed()
    assert records.room_fact(TurnEndAsked()) == on.TalkReleased()


def test_a_resumed_answer_is_told_and_is_no_end_of_it_for_a_successor() -> None:
    committed = records.committed(do.Commit(4, do.Origin.SPEECH, "Why?"))
    resumed = kind, event = records.resumed(do.RecordResumed(4))
    assert (kind, event.turn.turn, event.turn.step) == ("turn", 4, api.TurnEvent.STEP_RESUMED)
    past = recovery.fold([_stored(*committed), _stored(*resumed)])
    assert list(past.open_turns) == [4]
    assert past.open_turns[4].event.turn.input_text == "Why?"
    assert (past.next_turn, past.history) == (5, [])


def test_a_phrase_that_is_not_said_is_told_and_means_nothing_to_a_successor() -> None:
    off = kind, event = records.phrase_off(do.RecordPhraseOff("disclosure"))
    step = api.CharacterEvent.STEP_PHRASE_SWITCHED_OFF
    assert (kind, event.character.step, event.character.phrase) == ("character", step, "disclosure")
    assert subjects.event(kind, SID) == f"vv.event.character.{SID}"
    assert recovery.fold([_stored(*off)]) == recovery.Past(began_at_s=1.0)


def _stored(kind: str, event: api.SessionEvent) -> Stored:
    data = pb.EventRecord(generation=1, event=event).SerializeToString()
    return Stored(subjects.event(kind, SID), data, sequence=1, time_s=1.0)
