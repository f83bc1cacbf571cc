"""Listing, typing, interrupting, changing and rejoining sessions, and two servers of the API."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import jwt
import pytest
from google.protobuf.duration_pb2 import Duration

from deploy.nats.provision import provision
from tests.support.servers import running_nats
from tests.support.session_api import SessionApi
from tests.support.token_server import (
    LIVEKIT_SECRET,
    LIVEKIT_URL,
    OTHER_SECRET,
    Setting,
    refused,
    serving,
)
from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects
from visavis_token import listing
from visavis_token.ids import new_ulid

ACTIVE, ENDED = api.SESSION_STATE_ACTIVE, api.SESSION_STATE_ENDED


@pytest.fixture
async def nats_url() -> AsyncIterator[str]:
    """A bus of its own."""
    async with running_nats() as nats:
        await provision(nats.url)
        yield nats.url


@pytest.fixture
async def setting(nats_url: str) -> AsyncIterator[Setting]:
    """The API with a worker that takes every session."""
    async with serving(nats_url) as one, one.worker.at_work():
        yield one


async def _spec(setting: Setting, session_id: str) -> pipeline.SessionSpec:
    entry = await setting.bus.read(f"{session_id}.spec")
    assert entry
    return pipeline.SessionSpec.FromString(entry.value)


async def _pages(setting: Setting, size: int, *states: api.SessionState.ValueType) -> list[str]:
    """The ids of all pages; none holds more than it should."""
    found, token = [], ""
    while True:
        page = await setting.api.list(*states, page_size=size, page_token=token)
        assert len(page.sessions) <= size
        found += [session.session_id for session in page.sessions]
        if not (token := page.next_page_token):
            return found


async def test_pages_show_every_session_once_and_by_state(setting: Setting) -> None:
    made = [await setting.settled() for _ in range(5)]
    for sid in made[1::2]:
        await setting.worker.change(sid, ENDED)
    assert await _pages(setting, 2) == made
    assert await _pages(setting, 5) == made
    assert await _pages(setting, 1, ENDED) == made[1::2]
    assert await _pages(setting, 3, ACTIVE) == made[0::2]
    assert await _pages(setting, 3, ACTIVE, ENDED) == made
    assert await _pages(setting, 3, api.SESSION_STATE_REJECTED) == []
    everything = await setting.api.list()
    assert everything.sessions[0] == await setting.api.get(made[0])
    assert everything.next_page_token == ""


async def test_a_session_that_changes_between_two_pages_is_not_lost(setting: Setting) -> None:
    made = [await setting.settled() for _ in range(4)]
    first = await setting.api.list(page_size=2)
    await setting.api.update(made[0], voice="other")
    await setting.api.update(made[2], voice="other")
    rest = await setting.api.list(page_token=first.next_page_token)
    seen = [session.session_id for session in (*first.sessions, *rest.sessions)]
    assert set(seen) == set(made)
    assert seen == [made[0], made[1], made[3], made[0], made[2]]
    # The two that were changed lie side by side in the store.
    assert await _pages(setting, 1) == [made[1], made[3], made[0], made[2]]


async def test_a_long_way_without_a_match_gives_a_short_page(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKS", 2)
    made = [await setting.settled() for _ in range(5)]
    await setting.worker.change(made[4], ENDED)
    page = await setting.api.list(ENDED)
    assert (len(page.sessions), bool(page.next_page_token)) == (0, True)
    assert await _pages(setting, 50, ENDED) == [made[4]]


async def test_wrong_pages_are_named(setting: Setting) -> None:
    big = await refused(setting.api.list(page_size=201))
    assert (big.code, big.fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        {"page_size": "OUT_OF_RANGE"},
    )
    assert (await refused(setting.api.list(page_token="zz"))).fields == {"page_token": "MALFORMED"}
    states = [ACTIVE, api.SESSION_STATE_UNSPECIFIED, 77]
    wrong = await refused(setting.api.list(*states))  # type: ignore[arg-type]
    assert wrong.fields == {"states[1]": "OUT_OF_RANGE", "states[2]": "OUT_OF_RANGE"}


async def test_a_typed_text_asks_once_for_each_request_id(setting: Setting) -> None:
    sid = await setting.settled()
    control = await setting.bus.serve(subjects.control(sid), setting.worker.answer)
    first = await setting.api.send_text(sid, "Why?", "t1")
    assert await setting.api.send_text(sid, "Why?", "t1") == first
    assert await setting.api.send_text(sid, "Why?") != await setting.api.send_text(sid, "Why?")
    assert {request.WhichOneof("call") for request in setting.worker.asked} == {"text"}
    assert all(request.text.request_id for request in setting.worker.asked)
    await control.aclose()


async def test_a_typed_text_that_cannot_be_is_named(setting: Setting) -> None:
    sid = await setting.settled()
    empty = await refused(setting.api.send_text(sid, " "))
    assert empty.fields == {"text": "REQUIRED"}
    long = await refused(setting.api.send_text("x", "x" * 2001, "with space"))
    assert long.fields == {"session_id": "MALFORMED", "text": "TOO_LONG", "request_id": "MALFORMED"}


async def test_an_interruption_tells_which_turn_it_stopped(setting: Setting) -> None:
    sid = await setting.settled()
    control = await setting.bus.serve(subjects.control(sid), setting.worker.answer)
    nothing = await setting.api.interrupt(sid)
    assert (nothing.turn, nothing.interrupted) == (0, False)
    turn = await setting.api.send_text(sid, "Why?")
    stopped = await setting.api.interrupt(sid)
    assert (stopped.turn, stopped.interrupted) == (turn, True)
    await control.aclose()


@pytest.mark.parametrize("call", ["send_text", "interrupt"])
async def test_calls_wait_for_a_holder_and_then_say_when_to_try_again(
    setting: Setting, call: str
) -> None:
    sid = await setting.settled()
    began = time.monotonic()
    words = ("Why?",) if call == "send_text" else ()
    gone = await refused(getattr(setting.api, call)(sid, *words))
    assert 2.5 < time.monotonic() - began < 4
    assert (gone.code, gone.reason) == (grpc.StatusCode.UNAVAILABLE, "NO_HOLDER")
    assert gone.retry_s is not None


async def test_a_change_is_stored_and_the_holder_told(setting: Setting) -> None:
    sid = await setting.settled()
    control = await setting.bus.serve(subjects.control(sid), setting.worker.answer)
    before = await _spec(setting, sid)
    await setting.api.update(sid, voice="other", instructions="Be brief.")
    await setting.api.update(sid, "instructions", voice="ignored", instructions="")
    assert [request.WhichOneof("call") for request in setting.worker.asked] == ["update"] * 2
    before.resolved.voice, before.resolved.instructions = "other", ""
    assert await _spec(setting, sid) == before
    await control.aclose()


async def test_another_person_is_bound_and_gets_the_tokens(setting: Setting) -> None:
    made = await setting.api.create("nova", participant_identity="ann")
    sid = made.session.session_id
    control = await setting.bus.serve(subjects.control(sid), setting.worker.answer)
    before = await _spec(setting, sid)
    updated = await setting.api.update(sid, participant_identity="bob")
    assert updated.participant_identity == "bob"
    assert (await setting.api.get(sid)).participant_identity == "bob"
    assert [request.WhichOneof("call") for request in setting.worker.asked] == ["update"]
    before.participant_identity = "bob"
    assert await _spec(setting, sid) == before
    token = (await setting.api.rejoin(sid)).participant_token
    claims = jwt.decode(token, LIVEKIT_SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["video"]["room"]) == ("bob", sid)
    nameless = await setting.api.update(sid, "participant_identity", participant_identity="")
    assert nameless.participant_identity == f"person-{sid}"
    for identity, reason in (
        ("x" * 65, "TOO_LONG"),
        ("avatar-x", "RESERVED"),
        ("my-agent", "RESERVED"),
        (" bob", "MALFORMED"),
    ):
        wrong = await refused(setting.api.update(sid, participant_identity=identity))
        assert wrong.fields == {"changes.participant_identity": reason}
    missing = await refused(setting.api.update(sid, "participant_identity", voice="x"))
    assert missing.fields == {"changes.participant_identity": "REQUIRED"}
    assert (await _spec(setting, sid)).participant_identity == f"person-{sid}"
    await control.aclose()


async def test_turn_taking_is_merged_at_the_start_and_replaced_by_a_change(
    setting: Setting,
) -> None:
    overrides = api.SessionOverrides(disclosure=False)
    overrides.turn_taking.interrupt_words = 2
    made = await setting.api.create("ada", overrides=overrides)
    sid = made.session.session_id
    control = await setting.bus.serve(subjects.control(sid), setting.worker.answer)
    resolved = (await _spec(setting, sid)).resolved
    patient, manual = api.TurnTaking.PROFILE_PATIENT, api.TurnTaking.PROFILE_MANUAL
    assert resolved.turn_taking == api.TurnTaking(
        profile=patient,
        mid_delay=Duration(seconds=2),
        interrupt_words=2,
        nudge_after=Duration(seconds=60),
    )
    assert (resolved.disclosure, bool(resolved.pardon), bool(resolved.nudge)) == ("", True, True)
    wanted = api.TurnTaking(profile=manual, interruptible=False)
    await setting.api.update(sid, "turn_taking", turn_taking=wanted, voice="ignored")
    assert (await _spec(setting, sid)).resolved.turn_taking == wanted
    assert setting.worker.asked[-1].WhichOneof("call") == "update"
    # Who names no profile gets the character's, but none of its other numbers.
    await setting.api.update(sid, turn_taking=api.TurnTaking(speculation=False))
    replaced = (await _spec(setting, sid)).resolved
    assert replaced.turn_taking == api.TurnTaking(profile=patient, speculation=False)
    assert replaced.voice == resolved.voice
    await control.aclose()


async def test_turn_taking_that_cannot_be_is_named(setting: Setting) -> None:
    overrides = api.SessionOverrides()
    overrides.turn_taking.min_delay.CopyFrom(Duration(seconds=6))
    long = await refused(setting.api.create("nova", overrides=overrides))
    assert long.code == grpc.StatusCode.INVALID_ARGUMENT
    assert long.fields == {"overrides.turn_taking.min_delay": "OUT_OF_RANGE"}
    overrides.turn_taking.min_delay.CopyFrom(Duration(seconds=3))
    unordered = await refused(setting.api.create("ada", overrides=overrides))
    assert unordered.fields == {"overrides.turn_taking.mid_delay": "OUT_OF_ORDER"}
    sid = await setting.settled()
    wrong = api.TurnTaking(dip=Duration(nanos=-1), interrupt_words=11)
    named = await refused(setting.api.update(sid, turn_taking=wrong))
    assert named.fields == {
        "changes.turn_taking.dip": "OUT_OF_RANGE",
        "changes.turn_taking.interrupt_words": "OUT_OF_RANGE",
    }
    empty = await refused(setting.api.update(sid, "turn_taking", voice="x"))
    assert empty.fields == {"changes.turn_taking": "REQUIRED"}
    assert not (await _spec(setting, sid)).resolved.HasField("turn_taking")


async def test_a_text_may_be_said_so_that_nothing_stops_it(setting: Setting) -> None:
    sid = await setting.settled()
    control = await setting.bus.serve(subjects.control(sid), setting.worker.answer)
    await setting.api.say(sid, "A legal notice.", uninterruptible=True)
    await setting.api.say(sid, "And what else?")
    assert [request.say.uninterruptible for request in setting.worker.asked] == [True, False]
    await control.aclose()


async def test_an_event_of_the_character_is_shown(setting: Setting) -> None:
    sid = await setting.settled()
    off = api.CharacterEvent(step=api.CharacterEvent.STEP_PHRASE_SWITCHED_OFF, phrase="disclosure")
    record = pipeline.EventRecord(event=api.SessionEvent(character=off))
    await setting.worker.tell(sid, "character", record)
    async with asyncio.timeout(10):
        async for response in setting.api.watch(sid):
            assert response.event.character == off
            break


async def test_two_changes_at_once_both_stand(setting: Setting) -> None:
    sid = await setting.settled()
    await asyncio.gather(
        setting.api.update(sid, voice="other"),
        setting.api.update(sid, instructions="Be brief."),
        setting.api.end(sid),
    )
    spec = await _spec(setting, sid)
    assert (spec.resolved.voice, spec.resolved.instructions) == ("other", "Be brief.")
    assert spec.end_requested


async def test_a_change_that_cannot_be_is_named(setting: Setting) -> None:
    sid = await setting.settled()
    unknown = await refused(setting.api.update(sid, "voice", "greeting", voice="x"))
    assert unknown.code == grpc.StatusCode.INVALID_ARGUMENT
    assert unknown.fields == {"update_mask": "UNKNOWN_FIELD"}
    assert "'greeting'" in unknown.text
    missing = await refused(setting.api.update(sid, "voice", instructions="x"))
    assert missing.fields == {"changes.voice": "REQUIRED"}
    assert (await refused(setting.api.update(sid))).fields == {"changes": "REQUIRED"}
    wrong = await refused(setting.api.update("x", voice=" ", instructions="é" * 16_001))
    assert wrong.fields == {
        "session_id": "MALFORMED",
        "changes.voice": "MALFORMED",
        "changes.instructions": "TOO_LONG",
    }
    assert (await _spec(setting, sid)).resolved.voice == "heart"


async def test_the_person_gets_a_fresh_token_while_the_session_lives(setting: Setting) -> None:
    made = await setting.api.create("nova", participant_identity="ann")
    sid = made.session.session_id
    again = await setting.api.rejoin(sid)
    assert again.livekit_url == LIVEKIT_URL
    assert abs(again.token_expire_time.seconds - time.time() - 600) < 5
    claims = jwt.decode(again.participant_token, LIVEKIT_SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["video"]["room"]) == ("ann", sid)
    await setting.worker.change(sid, ENDED)
    for call in (setting.api.rejoin(sid), setting.api.update(sid, voice="x")):
        over = await refused(call)
        assert (over.code, over.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_OVER")


async def test_an_operators_end_says_so(setting: Setting) -> None:
    sid = await setting.settled()
    async with SessionApi(setting.address, OTHER_SECRET) as operator:
        await operator.end(sid)
    assert (await _spec(setting, sid)).end_reason == api.END_REASON_ADMIN


async def test_the_calls_know_no_strangers_and_no_unknown_session(setting: Setting) -> None:
    sid = new_ulid()
    async with SessionApi(setting.address, "not-a-secret-of-anybody") as stranger:
        for client, code in (
            (stranger, grpc.StatusCode.UNAUTHENTICATED),
            (setting.api, grpc.StatusCode.NOT_FOUND),
        ):
            calls = client.send_text(sid, "x"), client.interrupt(sid), client.rejoin(sid)
            for call in (*calls, client.update(sid, voice="x")):
                assert (await refused(call)).code == code
        assert (await refused(stranger.list())).code == grpc.StatusCode.UNAUTHENTICATED


async def test_a_create_repeated_at_another_server_gives_the_same_session(nats_url: str) -> None:
    async with serving(nats_url) as one, serving(nats_url) as other, one.worker.at_work():
        first = await one.api.create("nova", request_id="r1")
        again = await other.api.create("nova", request_id="r1")
        assert again.session == first.session
        made = await asyncio.gather(
            *(server.api.create("nova", request_id="r2") for server in (one, other) * 3)
        )
        assert len({each.session.session_id for each in made}) == 1
        assert {each.session.state for each in made} == {ACTIVE}
        assert len(one.worker.leases) == 2


async def test_without_a_slot_every_server_says_so_in_time(nats_url: str) -> None:
    async with serving(nats_url) as one, serving(nats_url) as other:
        for server in (one, other):
            began = time.monotonic()
            full = await refused(server.api.create("nova", request_id="r1"))
            assert time.monotonic() - began < 1.2
            assert (full.code, full.retry_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 2.0)
