"""What a stock LiveKit front end relies on in the room: state, captions, chat, who publishes."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from livekit import api as livekit
from livekit import rtc

from tests.support.caller import Caller
from tests.support.conversation import Talk, World, is_kind, room_admin, talk
from tests.support.openai_server import Reply
from tests.support.waiting import until
from visavis.session.v1 import session_pb2 as api
from visavis_local.stack import LIVEKIT_API_KEY

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

ANSWER = (
    "Rain falls from the clouds when they grow heavy. It fills the rivers and the lakes. "
    "Then the sun lifts the water up again."
)


@dataclass
class Caption:
    """One `lk.transcription` stream as it came, with its attributes at both ends."""

    sender: str
    opened: dict[str, str]
    pieces: list[tuple[float, str]] = field(default_factory=list)
    closed: dict[str, str] | None = None

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(text for _, text in self.pieces)


class Captions:
    """Every stream of its own, unlike the caller's segments."""

    def __init__(self, room: rtc.Room) -> None:
        self.all: list[Caption] = []
        self._tasks: list[asyncio.Task[None]] = []
        room.unregister_text_stream_handler("lk.transcription")
        room.register_text_stream_handler("lk.transcription", self._on_stream)

    def of(self, sender: str) -> list[Caption]:
        """The streams of one participant."""
        return [caption for caption in self.all if caption.sender == sender]

    def _on_stream(self, reader: rtc.TextStreamReader, identity: str) -> None:
        caption = Caption(identity, dict(reader.info.attributes or {}))
        self.all.append(caption)
        self._tasks.append(asyncio.create_task(self._read(reader, caption)))

    async def _read(self, reader: rtc.TextStreamReader, caption: Caption) -> None:
        async for piece in reader:
            caption.pieces.append((time.monotonic(), piece))
        caption.closed = dict(reader.info.attributes or {})


@dataclass
class Turn:
    """One spoken turn and its captions."""

    one: Talk
    captions: Captions
    outcome: api.TurnEvent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def turn(world: World) -> AsyncIterator[Turn]:
    """One question with its answer, in a session that goes on."""
    async with talk(world) as one:
        await one.seated()
        captions = Captions(one.caller.room)
        world.model.replies.append(Reply(ANSWER))
        await one.ask("Where does the rain come from?")
        outcome = await one.over(1)
        await one.caller.until(lambda: all(c.closed is not None for c in captions.all))
        await one.caller.until(lambda: one.caller.observed.agent_state == "listening")
        yield Turn(one, captions, outcome)


def _states(one: Talk) -> list[str]:
    told = [noted.event.agent for noted in one.all(is_kind("agent"))]
    return [agent.state for agent in told if agent.step == api.AgentEvent.STEP_STATE]


async def test_the_state_follows_the_conversation(turn: Turn) -> None:
    shown = [state for _, state in turn.one.caller.observed.agent_states]
    # Who joins early sees how the avatar is brought in.
    assert shown[-4:] == ["listening", "thinking", "speaking", "listening"]
    assert set(shown[:-4]) <= {"initializing", "idle"}
    # The events are stored, so they come a little later than what the room shows.
    await until(lambda: _states(turn.one)[-4:] == shown[-4:], "the same states as events")


async def test_the_persons_words_come_as_guesses_and_then_for_good(turn: Turn) -> None:
    *guesses, caption = turn.captions.of(turn.one.caller.identity)
    for guess in guesses:
        assert guess.opened["lk.transcription_final"] == "false"
        assert guess.opened["lk.segment_id"] == caption.opened["lk.segment_id"]
    assert caption.text == turn.outcome.input_text
    assert caption.opened["lk.segment_id"].startswith("SG_")
    assert caption.opened["lk.transcription_final"] == "true"


async def test_the_agents_words_come_as_one_stream_that_grows_with_the_sound(turn: Turn) -> None:
    caller = turn.one.caller
    (caption,) = turn.captions.of(caller.agent)
    assert caption.text == turn.outcome.heard_text == ANSWER
    assert caption.opened["lk.transcription_final"] == "false"
    assert caption.closed is not None
    assert caption.closed["lk.transcription_final"] == "true"
    assert caption.closed["lk.segment_id"] == caption.opened["lk.segment_id"]
    began = caller.recording.first_audible_after(0.0)
    ended = caller.recording.last_audible_before(time.monotonic())
    assert began
    assert ended
    length = 0
    for at, text in caption.pieces[:-1]:
        length += len(text)
        share_of_words, share_of_sound = length / len(ANSWER), (at - began) / (ended - began)
        assert abs(share_of_words - share_of_sound) < 0.25, (share_of_words, share_of_sound)
    assert len(caption.pieces) > 10


async def test_the_avatar_publishes_for_the_agent_that_publishes_nothing(turn: Turn) -> None:
    session_id = turn.one.session_id
    async with room_admin(turn.one.world) as admin:
        found = await admin.room.list_participants(livekit.ListParticipantsRequest(room=session_id))
    by_identity = {participant.identity: participant for participant in found.participants}
    agent, avatar = f"agent-{session_id}", f"avatar-{session_id}-1"
    assert set(by_identity) == {agent, avatar, f"person-{session_id}"}
    assert turn.one.caller.agent == agent
    assert not by_identity[agent].tracks
    assert by_identity[avatar].attributes["lk.publish_on_behalf"] == agent
    assert [track.type for track in by_identity[avatar].tracks] == [livekit.TrackType.AUDIO]
    kinds = {by_identity[identity].kind for identity in (agent, avatar)}
    assert kinds == {livekit.ParticipantInfo.Kind.AGENT}


async def test_typed_text_is_answered_and_cuts_off_what_is_being_said(turn: Turn) -> None:
    one = turn.one
    one.world.model.replies.append(Reply(ANSWER))
    await one.caller.send_chat("How does rain begin?")
    typed = (await one.committed(2)).event.turn
    assert (typed.origin, typed.input_text) == (api.TurnEvent.ORIGIN_TEXT, "How does rain begin?")
    await one.caller.until(lambda: one.caller.observed.agent_state == "speaking")
    one.world.model.replies.append(Reply("A cloud is made of small drops."))
    await one.caller.send_chat("And what is a cloud?")
    cut = await one.over(2)
    assert cut.step == api.TurnEvent.STEP_INTERRUPTED
    assert cut.heard_text != ANSWER
    assert ANSWER.startswith(cut.heard_text)
    answered = await one.over(3)
    assert answered.step == api.TurnEvent.STEP_COMPLETED
    assert answered.heard_text == "A cloud is made of small drops."


async def test_somebody_elses_chat_is_not_for_the_agent(turn: Turn) -> None:
    one = turn.one
    grants = livekit.VideoGrants(room_join=True, room=one.session_id, can_publish_data=True)
    layout = one.world.stack.layout
    token = livekit.AccessToken(LIVEKIT_API_KEY, layout.secret).with_identity("somebody")
    jwt = token.with_grants(grants).to_jwt()
    async with await Caller.join(one.created.livekit_url, jwt, microphone=False) as somebody:
        seen: list[str] = []
        one.caller.room.register_text_stream_handler("lk.chat", lambda _, who: seen.append(who))
        await somebody.send_chat("What is my secret?")
        # The person's own text goes the same way later: what was to come has come.
        await one.caller.until(lambda: seen == ["somebody"])
        one.world.model.replies.append(Reply("It is late."))
        await one.caller.send_chat("What is the time?")
        outcome = await one.over(4)
    assert outcome.input_text == "What is the time?"
    assert max(noted.event.turn.turn for noted in one.all(is_kind("turn"))) == 4
