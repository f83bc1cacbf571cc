"""A running session steered by the API and by its person, and ends that come by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from livekit import api as livekit
from livekit import rtc

from tests.support.caller import Caller
from tests.support.conversation import (
    NOVA,
    Talk,
    World,
    is_kind,
    room_admin,
    running_world,
    talk,
)
from tests.support.listener import heard
from tests.support.openai_server import Reply
from tests.support.session_api import SessionApi
from tests.support.sim import Sim
from tests.support.voices import speak_all
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api
from visavis_local.stack import LIVEKIT_API_KEY

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

LONG = (
    "The river begins as a small spring in the hills. It runs through three villages and a wood. "
    "Then it turns to the south and grows wide and slow before it reaches the sea."
)
INTERRUPTED = api.TurnEvent.STEP_INTERRUPTED
SECRET, OPERATORS_SECRET = "a-secret-for-this-run-of-the-system", "a-secret-of-an-operator"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """The whole system; one of its keys is an operator's."""
    settings = {
        "VISAVIS_LOCAL_SECRET": SECRET,
        "VISAVIS_API_KEYS": f"demo:{SECRET},ops:{OPERATORS_SECRET}",
        "VISAVIS_OPERATOR_KEYS": "ops",
    }
    async with running_world(settings) as one:
        yield one


async def _speaking(one: Talk) -> None:
    await one.caller.until(lambda: one.caller.observed.agent_state == "speaking", 15)


async def _attributes(one: Talk) -> dict[str, dict[str, str]]:
    async with room_admin(one.world) as admin:
        ask = livekit.ListParticipantsRequest(room=one.session_id)
        found = await admin.room.list_participants(ask)
    return {person.identity: dict(person.attributes) for person in found.participants}


async def test_typed_interrupted_and_changed_by_the_api(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        sid = one.session_id
        world.model.replies += [Reply(LONG), Reply("It is blue.")]
        first = await world.api.send_text(sid, "Tell me about the river.", "t1")
        await _speaking(one)
        assert await world.api.send_text(sid, "Tell me about the river.", "t1") == first
        await world.api.update(sid, instructions="You are a painter.")
        second = await world.api.send_text(sid, "Which colour is it?", "t2")
        stopped, answered = await one.over(first), await one.over(second)
        assert stopped.step == INTERRUPTED
        assert len(stopped.heard_text) < len(LONG)
        assert (answered.origin, answered.heard_text) == (api.TurnEvent.ORIGIN_TEXT, "It is blue.")
        asked = world.model.requests[-1].messages
        assert asked[0] == ("system", "You are a painter.")
        assert asked[-1][1].endswith("Which colour is it?")
        captions = one.caller.observed.said_by(one.caller.identity)
        assert captions == "Tell me about the river. Which colour is it?"
        assert not (await world.api.interrupt(sid)).interrupted
        third = await one.say(LONG)
        await _speaking(one)
        reply = await world.api.interrupt(sid)
        assert (reply.turn, reply.interrupted) == (third, True)
        assert (await one.over(third)).step == INTERRUPTED


@asynccontextmanager
async def _stranger(
    one: Talk, identity: str = "stranger", *, microphone: bool = False
) -> AsyncIterator[Caller]:
    """Somebody else in the room."""
    layout = one.world.stack.layout
    grants = livekit.VideoGrants(room_join=True, room=one.session_id)
    token = livekit.AccessToken(LIVEKIT_API_KEY, layout.secret).with_identity(identity)
    url = one.created.livekit_url
    signed = token.with_grants(grants).to_jwt()
    async with await Caller.join(url, signed, microphone=microphone) as caller:
        yield caller


async def test_the_person_may_interrupt_and_hang_up_and_nobody_else(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        turn = await one.say(LONG)
        await _speaking(one)
        async with _stranger(one) as stranger:
            await stranger.until(lambda: stranger.agent != "")
            for method in ("visavis.interrupt", "visavis.end"):
                with pytest.raises(rtc.RpcError) as refused:
                    await stranger.call(method)
                assert refused.value.code == 403
        assert one.caller.observed.agent_state == "speaking"
        assert await one.caller.call("visavis.interrupt") == "ok"
        assert (await one.over(turn)).step == INTERRUPTED
        with pytest.raises(rtc.RpcError, match='"start" or "end"'):
            await one.caller.call("visavis.turn")
        with pytest.raises(rtc.RpcError) as unsupported:
            await one.caller.call("visavis.dance")
        assert unsupported.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
        assert await one.caller.call("visavis.end") == "ok"
        assert await one.ended() == api.END_REASON_CLIENT_LEFT
        await one.caller.until(lambda: one.caller.observed.disconnect_reason == "ROOM_DELETED")


QUESTIONS = (
    "What is the capital of France?",
    "How deep is the water of the lake?",
    "Which bird sings in the morning?",
    "When does the last train leave?",
)


async def test_a_second_person_is_ignored_until_they_are_bound_and_then_the_first(
    world: World,
) -> None:
    """Who is not listened to speaks just before who is: one word of theirs would be in the turn."""
    to_nobody, to_ann, from_ann, to_bob = await asyncio.to_thread(speak_all, QUESTIONS)
    world.model.choose = lambda _: Reply("I have to think about that.")
    async with talk(world) as one, _stranger(one, "bob", microphone=True) as bob:
        sid, ann = one.session_id, one.caller
        await one.seated()
        await bob.until(lambda: bob.agent != "")
        await bob.send_chat("I am Bob.")
        await bob.speak(to_nobody)
        await ann.speak(to_ann)
        first = await one.over(1)
        assert word_error_rate(QUESTIONS[1], first.input_text) <= 0.35
        assert first.step == api.TurnEvent.STEP_COMPLETED
        updated = await world.api.update(sid, participant_identity="bob")
        assert updated.participant_identity == "bob"
        with pytest.raises(rtc.RpcError) as refused:
            await ann.call("visavis.interrupt")
        assert refused.value.code == 403
        await ann.send_chat("I am Ann.")
        await ann.speak(from_ann)
        await bob.speak(to_bob)
        second = await one.over(2)
        assert word_error_rate(QUESTIONS[3], second.input_text) <= 0.35
        said = world.model.requests[-1].messages[1:]
        assert said == [
            ("user", first.input_text),
            ("assistant", first.heard_text),
            ("user", second.input_text),
        ]
        assert await bob.call("visavis.interrupt") == "ok"
        for caller in (ann, bob):
            await caller.until(lambda: caller.observed.said_by("bob") == second.input_text)  # noqa: B023
            assert caller.observed.said_by(ann.identity) == first.input_text
        steps = [noted.event.user.step for noted in one.all(is_kind("user"))]
        there = [step for step in steps if step != api.UserEvent.STEP_TRANSCRIPT]
        came, went = api.UserEvent.STEP_JOINED, api.UserEvent.STEP_LEFT
        assert there == [came, went, came]
        assert not list(one.all(lambda event: event.turn.turn > 2))
        assert not one.errors


async def test_agent_and_avatar_say_that_they_are_made(world: World) -> None:
    async with talk(world) as one:
        await one.seated()
        found = await _attributes(one)
        sid = one.session_id
        made = {name for name, told in found.items() if told.get("ai_generated") == "true"}
        assert made == {f"agent-{sid}", f"avatar-{sid}-1"}
        assert found[f"agent-{sid}"]["lk.agent.state"] == "listening"


class Held(NamedTuple):
    """What the system holds at one moment."""

    rooms: int
    jobs: int
    avatars: int
    consumers: int
    subscriptions: int


async def _held(world: World) -> Held:
    layout = world.stack.layout
    monitoring = f"http://127.0.0.1:{layout.ports['nats-monitoring']}"
    async with aiohttp.ClientSession(monitoring) as client:
        async with client.get("/jsz?streams=true") as response:
            streams = (await response.json())["account_details"][0]["stream_detail"]
        async with client.get("/connz") as response:
            connections = (await response.json())["connections"]
    states = {stream["name"]: stream["state"] for stream in streams}
    async with room_admin(world) as admin:
        rooms = (await admin.room.list_rooms(livekit.ListRoomsRequest())).rooms
    return Held(
        rooms=len(rooms),
        jobs=states["VV_JOBS"]["messages"],
        avatars=(await Sim(layout.motion_sim_url).stats())["open_connections"],
        consumers=sum(state["consumer_count"] for state in states.values()),
        subscriptions=sum(one["subscriptions"] for one in connections),
    )


async def _quiet(world: World, as_before: Held | None = None) -> Held:
    """What is held once no session is, and no more than before."""
    async with asyncio.timeout(15):
        while True:
            held = await _held(world)
            if held[:3] == (0, 0, 0) and held <= (as_before or held):
                return held
            await asyncio.sleep(0.3)


ENDS = {
    "MAX_DURATION": api.SessionOverrides(greeting="", max_duration=Duration(seconds=5)),
    "SILENCE": api.SessionOverrides(greeting="", max_silence=Duration(seconds=2)),
    "ADMIN": api.SessionOverrides(greeting=""),
}


@pytest.mark.parametrize("reason", ENDS)
async def test_nothing_runs_on_after_an_end(world: World, reason: str) -> None:
    before = await _quiet(world)
    made = await world.api.create("nova", overrides=ENDS[reason])
    sid = made.session.session_id
    async with await Caller.join(made.livekit_url, made.participant_token) as caller:
        await caller.until(lambda: caller.observed.agent_state == "listening", 15)
        during = await _held(world)
        assert during[:3] == (1, 1, 1)
        assert during.subscriptions > before.subscriptions
        if reason == "ADMIN":
            target = world.stack.layout.grpc_target
            async with SessionApi(target, OPERATORS_SECRET) as operator:
                await operator.end(sid)
        await caller.until(lambda: caller.observed.disconnect_reason == "ROOM_DELETED", 15)
    after = await _quiet(world, before)
    assert after.consumers == before.consumers == 4
    session = await world.api.get(sid)
    assert session.state == api.SESSION_STATE_ENDED
    assert session.end_reason == api.EndReason.Value(f"END_REASON_{reason}")


async def test_a_front_end_with_the_vendors_token_request_gets_a_voice(world: World) -> None:
    """The room demo of the vendor asks so, joins with what it gets, and publishes a microphone."""
    async with aiohttp.ClientSession(world.stack.layout.page_url) as client:
        body = {"room": "pure-rtc-room", "identity": "browser-dev"}
        async with client.post("/token", json=body) as response:
            assert response.ok
            given = await response.json()
    async with await Caller.join(given["url"], given["token"]) as caller:
        assert (caller.room.name, caller.identity) == (given["room"], given["identity"])
        greeting = f"{NOVA.phrases.spoken_disclosure} {NOVA.greeting}"
        agent = f"agent-{given['room']}"
        await caller.until(lambda: caller.observed.said_by(agent) == greeting, 20)
        assert word_error_rate(greeting, await heard(caller)) <= 0.25
        avatar = given["visavis"]["avatar"]
        assert (avatar["provider"], avatar["mode"]) == ("spatius", "livekit_egress")
    await world.api.end(given["room"])
