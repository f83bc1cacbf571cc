"""The events of a session as they come, with the times at which they came."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

import grpc

from tests.support.session_api import SessionApi
from visavis.session.v1 import session_pb2 as api


@dataclass(frozen=True, slots=True)
class Seen:
    """An event, and when it was seen (monotonic)."""

    at: float
    event: api.SessionEvent


Turned = tuple[float, api.TurnEvent]
"""When a step of a turn was seen, and it."""


class Watch:
    """`async with Watch(client, session_id, on_event) as watch`."""

    def __init__(
        self, client: SessionApi, session_id: str, on_event: Callable[[api.SessionEvent], None]
    ) -> None:
        self.seen: list[Seen] = []
        self.broken = ""
        """Why there will be no more events, once it is so."""
        self._client, self._id, self._on_event = client, session_id, on_event

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _follow(self) -> None:
        try:
            async for response in self._client.watch(self._id):
                self.seen.append(Seen(time.monotonic(), response.event))
                self._on_event(response.event)
        except grpc.aio.AioRpcError as error:
            self.broken = f"the events broke off: {error.code().name}: {error.details()}"
        else:
            self.broken = "the session is over"

    def turns(self, *steps: "api.TurnEvent.Step.ValueType") -> Iterator[Turned]:
        """Steps of turns so far."""
        for seen in self.seen:
            if seen.event.WhichOneof("kind") == "turn" and seen.event.turn.step in steps:
                yield seen.at, seen.event.turn

    @property
    def newest_turn(self) -> int:
        """Number of the last committed turn; -1 before the first."""
        turns = self.turns(api.TurnEvent.STEP_COMMITTED)
        return max((turn.turn for _, turn in turns), default=-1)

    def sentences(self, turn: int) -> list[str]:
        """What was announced of a turn, in order."""
        agents = (seen.event.agent for seen in self.seen if seen.event.HasField("agent"))
        texts = {
            agent.sentence: agent.text
            for agent in agents
            if agent.step == api.AgentEvent.STEP_TEXT and agent.turn == turn
        }
        return [texts[sentence] for sentence in sorted(texts)]

    def is_playing_after(self, turn: int) -> bool:
        """A later turn than this is or was being played."""
        agents = (seen.event.agent for seen in self.seen if seen.event.HasField("agent"))
        return any(
            agent.step == api.AgentEvent.STEP_PLAYBACK and agent.turn > turn for agent in agents
        )

    @property
    def errors(self) -> list[str]:
        """Error events so far, one sentence each."""
        errors = (seen.event.error for seen in self.seen if seen.event.HasField("error"))
        return [
            f"{error.code} in {error.stage}, turn {error.turn}: {error.message}"
            + (" (the person heard the apology)" if error.apologised else "")
            for error in errors
        ]
