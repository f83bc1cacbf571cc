"""An agent on strings: in the room what egress and its avatar are, doing what the test says."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from livekit import api

from tests.support.caller import Caller
from tests.support.servers import LiveKitServer
from tests.support.waiting import until

RATE_HZ = 24_000


def token(server: LiveKitServer, room: str, identity: str, kind: str = "standard") -> str:
    """A room token of a person, or of an agent that may set its attributes."""
    is_agent = kind == "agent"
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_update_own_metadata=is_agent,
    )
    made = api.AccessToken(server.api_key, server.api_secret).with_identity(identity)
    return made.with_kind(kind).with_grants(grants).to_jwt()  # type: ignore[arg-type]


def vowels(seconds: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Something that rises and falls like speech."""
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    loud = 0.25 * (0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * at))
    return (loud * np.sin(2 * np.pi * 190 * at) * 32767).astype(np.int16)


class Puppet:
    """`calls`: RPCs in order, with their payload; `chats`: what was typed."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.calls: list[str] = []
        self.chats: list[str] = []
        self._seq = 0
        self._request = 0
        self._reading: set[asyncio.Task[None]] = set()
        for method in ("visavis.interrupt", "visavis.end", "visavis.turn"):
            self._me.register_rpc_method(method, self._answer(method))
        caller.room.register_text_stream_handler("lk.chat", self._on_chat)

    @classmethod
    async def join(cls, server: LiveKitServer, room: str) -> "Puppet":
        """Create the room and come in as its agent, listening."""
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
            await livekit.room.create_room(api.CreateRoomRequest(name=room, empty_timeout=60))
        agent = token(server, room, f"agent-{room}", "agent")
        puppet = cls(await Caller.join(server.url, agent))
        await puppet.be("listening")
        return puppet

    @property
    def _me(self) -> Any:
        return self.caller.room.local_participant

    @property
    def _person(self) -> str | None:
        people = self.caller.room.remote_participants
        return next((identity for identity in people if identity.startswith("person")), None)

    async def be(self, state: str) -> None:
        """Show a state."""
        await self._me.set_attributes({"lk.agent.state": state})

    async def hear(self, segment: str, text: str, *, final: bool = True) -> None:
        """Show what the person in the room has said."""
        await until(lambda: self._person is not None, "the person is in the puppet's room")
        person = self._person
        writer = await self._me.stream_text(
            topic="lk.transcription",
            attributes=_segment(segment, final),
            sender_identity=person,
        )
        if text:
            await writer.write(text)
        await writer.aclose()

    async def say(self, segment: str, text: str, seconds: float = 1.0, share: float = 1.0) -> None:
        """Speak: words as a caption, sound, and a moving mouth. `share`: only the beginning."""
        await self.be("speaking")
        writer = await self._me.stream_text(
            topic="lk.transcription", attributes=_segment(segment, False)
        )
        pieces = text.split(" ")
        for piece in pieces[: max(1, round(share * len(pieces)))]:
            await writer.write(piece + " ")
        moving = asyncio.create_task(self._move(seconds))
        await self.caller.speak_samples(vowels(seconds), RATE_HZ)
        await moving
        await writer.aclose(attributes={"lk.transcription_final": "true"})

    async def leave(self) -> None:
        """Leave, and close everything."""
        await self.caller.leave()

    async def _move(self, seconds: float) -> None:
        self._request += 1
        for position in range(0, int(seconds * 1000), 40):
            jaw = 0.5 + 0.4 * float(np.sin(2 * np.pi * 3.1 * position / 1000))
            await self._pose(position, jaw)
            await asyncio.sleep(0.04)

    async def _pose(self, position_ms: int, jaw: float) -> None:
        self._seq += 1
        weights = {"jawOpen": round(jaw, 3), "mouthWide": 0.2}
        body = {"v": 1, "seq": self._seq, "req": self._request, "pos_ms": position_ms, "w": weights}
        packet = json.dumps(body).encode()
        await self._me.publish_data(packet, topic="vv.motion.sim", reliable=False)

    def _answer(self, method: str) -> Callable[[Any], Awaitable[str]]:
        async def answer(call: Any) -> str:
            self.calls.append(f"{method} {call.payload}".rstrip())
            return "ok"

        return answer

    def _on_chat(self, reader: Any, _identity: str) -> None:
        task = asyncio.create_task(self._read(reader))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: Any) -> None:
        self.chats.append(await reader.read_all())


def _segment(segment: str, final: bool) -> dict[str, str]:
    return {"lk.segment_id": segment, "lk.transcription_final": "true" if final else "false"}
