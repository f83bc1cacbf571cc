"""The room adapter in a real room: what the bound person can ask for, and captions that change."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import pytest
from livekit import api as livekit
from livekit import rtc

from tests.support.caller import Caller
from tests.support.servers import LiveKitServer, running_livekit
from tests.support.waiting import until
from visavis_egress.livekit_admin import LiveKitAdmin
from visavis_egress.livekit_room import LiveKitRoom
from visavis_egress.room import (
    ChatArrived,
    EndAsked,
    InterruptAsked,
    PersonCame,
    PersonReplaced,
    PersonWent,
    RoomEvent,
    TurnEndAsked,
    TurnStartAsked,
)

AGENT, PERSON, STRANGER = "agent-r", "person-r", "stranger"
TURNS = (TurnStartAsked, TurnEndAsked)
ASKED = (InterruptAsked, EndAsked, *TURNS)


def _token(server: LiveKitServer, identity: str) -> str:
    is_agent = identity == AGENT
    grants = livekit.VideoGrants(room_join=True, room="r", can_update_own_metadata=is_agent)
    token = livekit.AccessToken(server.api_key, server.api_secret).with_identity(identity)
    return token.with_kind("agent" if is_agent else "standard").with_grants(grants).to_jwt()


@dataclass
class Meeting:
    """Our room, with the person and a stranger in it."""

    room: LiveKitRoom
    person: Caller
    stranger: Caller
    url: str
    token: Callable[[str], str]
    events: list[RoomEvent] = field(default_factory=list)

    @property
    def asked(self) -> list[RoomEvent]:
        """What was asked for, in order."""
        return [event for event in self.events if isinstance(event, ASKED)]


@pytest.fixture
async def meeting() -> AsyncIterator[Meeting]:
    events: list[RoomEvent] = []
    async with running_livekit() as server, AsyncExitStack() as stack:
        admin = LiveKitAdmin(server.url, server.api_key, server.api_secret)
        stack.push_async_callback(admin.aclose)
        await admin.create("r")
        token, make = _token(server, AGENT), partial(admin.create, "r")
        room = LiveKitRoom(server.url, token, make, person=PERSON, avatar="avatar-r")
        stack.push_async_callback(room.aclose)
        await room.open(events.append)
        person, stranger = [
            await stack.enter_async_context(
                await Caller.join(server.url, _token(server, identity), microphone=False)
            )
            for identity in (PERSON, STRANGER)
        ]
        for caller in (person, stranger):
            await caller.until(lambda one=caller: one.agent == AGENT)  # type: ignore[misc]
        yield Meeting(room, person, stranger, server.url, partial(_token, server), events)


async def test_the_person_starts_and_ends_a_turn(meeting: Meeting) -> None:
    for payload in ("start", "end", "start", "end"):
        assert await meeting.person.call("visavis.turn", payload) == "ok"
    assert meeting.asked == [TurnStartAsked(), TurnEndAsked()] * 2


@pytest.mark.parametrize("payload", ["", "stop", "START", "x" * 10_000])
async def test_a_wrong_payload_is_refused_with_the_right_ones(
    meeting: Meeting, payload: str
) -> None:
    with pytest.raises(rtc.RpcError) as caught:
        await meeting.person.call("visavis.turn", payload)
    assert caught.value.code == 400
    assert caught.value.message == 'the payload of visavis.turn must be "start" or "end"'
    assert meeting.asked == []


async def test_nobody_else_can_ask_for_anything(meeting: Meeting) -> None:
    for method in ("visavis.turn", "visavis.interrupt", "visavis.end"):
        with pytest.raises(rtc.RpcError) as caught:
            await meeting.stranger.call(method, "start")
        assert caught.value.code == 403
    # Nothing of it comes late either.
    await meeting.person.call("visavis.interrupt")
    await until(lambda: bool(meeting.asked), "the person's own")
    assert meeting.asked == [InterruptAsked()]


async def test_captions_of_the_person_replace_each_other_until_they_are_final(
    meeting: Meeting,
) -> None:
    room, seen = meeting.room, meeting.person.observed
    await room.show_user_words("SG_1", "What is", final=False)
    await _shown(meeting, lambda: seen.segment(PERSON, "SG_1").drafts == ["What is"])
    assert not seen.segment(PERSON, "SG_1").final
    await room.show_user_words("SG_1", "What is worth", final=False)
    await room.show_user_words("SG_1", "What is worth knowing?")
    await _shown(meeting, lambda: seen.segment(PERSON, "SG_1").final)
    one = seen.segment(PERSON, "SG_1")
    assert (one.text, one.drafts) == ("What is worth knowing?", ["What is", "What is worth"])


async def test_a_caption_that_was_nothing_is_taken_back(meeting: Meeting) -> None:
    seen = meeting.person.observed
    await meeting.room.show_user_words("SG_1", "Hm", final=False)
    await meeting.room.show_user_words("SG_1", "")
    await _shown(meeting, lambda: seen.segment(PERSON, "SG_1").final)
    assert (seen.said_by(PERSON), len(seen.segments)) == ("", 1)


async def test_another_person_can_be_bound(meeting: Meeting) -> None:
    """Presence, calls, typing and captions follow; the one before is a stranger."""
    room, person, stranger = meeting.room, meeting.person, meeting.stranger
    await until(lambda: meeting.events == [PersonCame()], "the person")
    await until(lambda: STRANGER in room._room.remote_participants, "the stranger")
    for _ in range(2):
        room.bind(STRANGER)
    assert meeting.events == [PersonCame(), PersonReplaced(), PersonCame()]
    with pytest.raises(rtc.RpcError) as caught:
        await person.call("visavis.interrupt")
    assert caught.value.code == 403
    await person.send_chat("Nobody reads this.")
    assert await stranger.call("visavis.turn", "start") == "ok"
    await stranger.send_chat("Hello.")
    await until(lambda: ChatArrived("Hello.") in meeting.events, "what the new one typed")
    assert meeting.events[3:] == [TurnStartAsked(), ChatArrived("Hello.")]
    await room.show_user_words("SG_1", "Hello.")
    await _shown(meeting, lambda: person.observed.segment(STRANGER, "SG_1").final)
    await person.leave()
    await stranger.leave()
    await until(lambda: PersonWent() in meeting.events, "who left")
    assert meeting.events[5:] == [PersonWent()]


async def test_a_person_who_is_not_there_yet_can_be_bound(meeting: Meeting) -> None:
    await until(lambda: meeting.events == [PersonCame()], "the person")
    meeting.room.bind("late")
    async with await Caller.join(meeting.url, meeting.token("late"), microphone=False):
        await until(lambda: len(meeting.events) == 3, "who comes late")
    assert meeting.events[:3] == [PersonCame(), PersonReplaced(), PersonCame()]


async def _shown(meeting: Meeting, condition: Callable[[], bool]) -> None:
    await meeting.person.until(condition, timeout_s=5)
