"""Two callers in a room of a real LiveKit server: what one does, the other notices in time."""

import asyncio
import math
import time
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from livekit import api, rtc

from tests.support.caller import Caller
from tests.support.recording import Samples
from tests.support.servers import LiveKitServer, running_livekit

ROOM = "room"
RATE_HZ = 22_050


@dataclass
class Lobby:
    """A server with one room."""

    server: LiveKitServer
    livekit: api.LiveKitAPI

    def token(self, identity: str, kind: Literal["standard", "agent"] = "standard") -> str:
        """May do everything in the room."""
        grants = api.VideoGrants(room_join=True, room=ROOM, can_update_own_metadata=True)
        token = api.AccessToken(self.server.api_key, self.server.api_secret)
        return token.with_identity(identity).with_kind(kind).with_grants(grants).to_jwt()


@pytest.fixture
async def lobby() -> AsyncIterator[Lobby]:
    """A real server, the room made."""
    async with (
        running_livekit() as server,
        api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit,
    ):
        await livekit.room.create_room(api.CreateRoomRequest(name=ROOM))
        yield Lobby(server, livekit)


def _tone(seconds: float) -> Samples:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (np.sin(at * 440 * 2 * math.pi) * 12_000).astype(np.int16)


def _wav(folder: Path) -> Path:
    """0.4 s of silence, 1 s of tone, 0.4 s of silence."""
    silence = np.zeros(round(0.4 * RATE_HZ), dtype=np.int16)
    file = folder / "tone.wav"
    with wave.open(str(file), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(np.concatenate([silence, _tone(1), silence]).tobytes())
    return file


async def test_one_hears_what_the_other_says_when_it_is_said(lobby: Lobby, tmp_path: Path) -> None:
    url = lobby.server.url
    async with (
        await Caller.join(url, lobby.token("one")) as speaker,
        await Caller.join(url, lobby.token("two")) as listener,
    ):
        await listener.until(lambda: bool(listener.recording.tracks))
        began = time.monotonic()
        spoken = await speaker.speak(_wav(tmp_path))
        assert spoken.end - spoken.start == pytest.approx(1.0, abs=0.02)
        assert 0.4 <= spoken.start - began < 1.5
        heard = listener.recording
        await listener.until(lambda: heard.end > spoken.end + 1.0)
        assert heard.first_audible_after(began) == heard.first_audible_after(spoken.start)
        onset = heard.first_audible_after(spoken.start)
        assert onset
        assert 0 <= onset - spoken.start < 1.0
        assert -20 < heard.level(onset + 0.1, onset + 0.9) < -5
        silent = heard.silent_from(spoken.end)
        assert silent
        assert silent - spoken.end < 0.5
        assert heard.level(silent + 0.1, heard.end) < -60
        # One is not in one's own recording.
        assert not speaker.recording.tracks or speaker.recording.first_audible_after(0) is None
    await _nobody_left(lobby)


async def test_the_agent_is_found_read_and_called(lobby: Lobby) -> None:
    url = lobby.server.url
    async with (
        await Caller.join(url, lobby.token("agent-1", "agent"), microphone=False) as agent,
        await Caller.join(url, lobby.token("person-1")) as person,
    ):
        await person.until(lambda: person.agent == "agent-1")
        here = agent.room.local_participant
        await here.set_attributes({"lk.agent.state": "listening"})
        await person.until(lambda: person.observed.agent_state == "listening")

        chats: list[str] = []
        running: set[asyncio.Task[None]] = set()

        def on_chat(reader: rtc.TextStreamReader, _: str) -> None:
            async def read() -> None:
                chats.append(await reader.read_all())

            running.add(asyncio.create_task(read()))

        agent.room.register_text_stream_handler("lk.chat", on_chat)
        await person.send_chat("typed")
        await person.until(lambda: chats == ["typed"])

        async def on_call(call: rtc.RpcInvocationData) -> str:
            return f"{call.caller_identity}:{call.payload}"

        here.register_rpc_method("visavis.end", on_call)
        assert await person.call("visavis.end", "now") == "person-1:now"
        with pytest.raises(rtc.RpcError):
            await person.call("visavis.unknown")


async def test_captions_of_both_sides_are_collected(lobby: Lobby) -> None:
    url = lobby.server.url
    async with (
        await Caller.join(url, lobby.token("agent-1", "agent"), microphone=False) as agent,
        await Caller.join(url, lobby.token("person-1"), microphone=False) as person,
    ):
        await agent.until(lambda: "person-1" in agent.room.remote_participants)
        here, seen = agent.room.local_participant, person.observed

        async def user_says(text: str, final: str) -> None:
            attributes = {"lk.segment_id": "U", "lk.transcription_final": final}
            writer = await here.stream_text(
                topic="lk.transcription", sender_identity="person-1", attributes=attributes
            )
            await writer.write(text)
            await writer.aclose()

        await user_says("what", "false")
        await person.until(lambda: [one.text for one in seen.segments] == ["what"])
        assert seen.said_by("person-1") == ""
        await user_says("What is it?", "true")
        await person.until(lambda: seen.said_by("person-1") == "What is it?")

        attributes = {"lk.segment_id": "A", "lk.transcription_final": "false"}
        writer = await here.stream_text(topic="lk.transcription", attributes=attributes)
        await writer.write("It is ")
        await person.until(lambda: seen.segments[-1].text == "It is ")
        assert seen.said_by("agent-1") == ""
        await writer.write("late.")
        await writer.aclose(attributes={"lk.transcription_final": "true"})
        await person.until(lambda: seen.said_by("agent-1") == "It is late.")
        assert len(seen.segments) == 2


async def test_a_deleted_room_is_noticed_and_left_in_order(lobby: Lobby) -> None:
    async with await Caller.join(lobby.server.url, lobby.token("one")) as caller:
        speaking = asyncio.create_task(caller.speak_samples(_tone(5), RATE_HZ))
        await asyncio.sleep(0.2)
        await lobby.livekit.room.delete_room(api.DeleteRoomRequest(room=ROOM))
        await caller.until(lambda: caller.observed.disconnect_reason is not None)
        assert caller.observed.disconnect_reason == "ROOM_DELETED"
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(speaking, 5)
        with pytest.raises(ConnectionError):
            await caller.speak_samples(_tone(1), RATE_HZ)


async def test_joining_can_be_given_up_without_leaving_a_ghost(lobby: Lobby) -> None:
    joining = asyncio.create_task(Caller.join(lobby.server.url, lobby.token("one")))
    await asyncio.sleep(0.005)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(joining, 10)
    await _nobody_left(lobby)
    with pytest.raises(rtc.ConnectError):
        await Caller.join(lobby.server.url, "no token")


async def _nobody_left(lobby: Lobby) -> None:
    async with asyncio.timeout(5):
        while True:
            request = api.ListParticipantsRequest(room=ROOM)
            if not (await lobby.livekit.room.list_participants(request)).participants:
                return
            await asyncio.sleep(0.05)
