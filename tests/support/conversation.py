"""The repeated steps of the end-to-end tests: a whole system, a session, a person, its events."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import grpc
from livekit import api as livekit

from tests.support.caller import Caller
from tests.support.openai_server import OpenAIServer
from tests.support.session_api import SessionApi
from tests.support.stack import RunningStack, running_stack
from tests.support.utterance import Spoken
from tests.support.voices import speak
from tests.support.waiting import until
from visavis.session.v1 import session_pb2 as api
from visavis_local.places import ROOT
from visavis_local.stack import LIVEKIT_API_KEY
from visavis_token import characters

NOVA = characters.load(ROOT / "deploy" / "characters")["nova"]
"""Who `talk` talks with."""

Match = Callable[[api.SessionEvent], bool]

OVER = (api.TurnEvent.STEP_COMPLETED, api.TurnEvent.STEP_INTERRUPTED)
_LOG_LINES = 25
_AGAIN_S = 0.2


@dataclass(frozen=True)
class World:
    """Everything runs; `model` says what it is told to say."""

    stack: RunningStack
    model: OpenAIServer
    api: SessionApi


@asynccontextmanager
async def running_world(
    settings: Mapping[str, str] | None = None, *, users: bool = False
) -> AsyncIterator[World]:
    """All servers and services, with a scripted language model. `users`: see RunningStack."""
    async with OpenAIServer() as model:
        chosen = {"VISAVIS_LLM_BASE_URL": model.base_url, "VISAVIS_LLM_MODEL": "fixed"}
        async with (
            running_stack(chosen | dict(settings or {}), users=users) as stack,
            SessionApi(stack.layout.grpc_target, stack.layout.secret) as client,
        ):
            yield World(stack, model, client)


@dataclass(frozen=True, slots=True)
class Noted:
    """An event, when it was seen and when it was stored (monotonic, one machine's clock)."""

    at: float
    event: api.SessionEvent
    stored: float


class Talk:
    """One session, one person in its room."""

    def __init__(self, world: World, created: api.CreateSessionResponse, caller: Caller) -> None:
        self.world, self.created, self.caller = world, created, caller
        self.session_id = created.session.session_id
        self.noted: list[Noted] = []
        self._watch = asyncio.create_task(self._note())

    async def ask(self, words: str) -> Spoken:
        """The person says this aloud."""
        return await self.caller.speak(await asyncio.to_thread(speak, words))

    async def say(self, text: str, request_id: str = "") -> int:
        """The program has this said; the number of the turn."""
        return await self.world.api.say(self.session_id, text, request_id)

    async def event(self, what: str, match: Match, *, within_s: float = 15.0) -> Noted:
        """The first event of the session that matches, once it is there."""
        await until(lambda: next(self.all(match), None), what, within_s=within_s)
        return next(self.all(match))

    def all(self, match: Match) -> Iterator[Noted]:
        """The events so far that match."""
        return (noted for noted in self.noted if match(noted.event))

    async def committed(self, turn: int, *, within_s: float = 15.0) -> Noted:
        """The turn is stored: it will be answered."""
        return await self.event(f"turn {turn} committed", _is_turn(turn), within_s=within_s)

    async def over(self, turn: int, *, within_s: float = 30.0) -> api.TurnEvent:
        """The outcome of a turn."""
        is_over = _is_turn(turn, *OVER)
        return (await self.event(f"turn {turn} over", is_over, within_s=within_s)).event.turn

    async def seated(self) -> None:
        """The avatar is there and the agent listens."""
        await until(
            lambda: self.caller.observed.agent_state == "listening", "listening", within_s=15
        )

    async def ended(self, *, within_s: float = 10.0) -> "api.EndReason.ValueType":
        """The session is over; why."""
        noted = await self.event("the end", _is_end, within_s=within_s)
        return noted.event.session.reason

    @property
    def errors(self) -> list[api.ErrorEvent]:
        """What went wrong so far."""
        return [noted.event.error for noted in self.all(is_kind("error"))]

    def story(self) -> str:
        """What happened, for the message of a failed test."""
        events = (f"{noted.at:.2f} {' '.join(str(noted.event).split())}" for noted in self.noted)
        logs = (
            f"--- {name}\n{process.tail(_LOG_LINES)}"
            for name, process in self.world.stack.processes.items()
            if name not in ("nats", "livekit")
        )
        return "\n".join((*events, *logs))

    async def aclose(self) -> None:
        """End the session, if it is not over."""
        with suppress(grpc.aio.AioRpcError):
            await self.world.api.end(self.session_id)
        self._watch.cancel()
        await asyncio.wait([self._watch])

    async def _note(self) -> None:
        """All events; where the API breaks off, on from the last one, as every client has to."""
        cursor = 0
        while True:
            try:
                async for response in self.world.api.watch(self.session_id, cursor):
                    cursor = response.cursor
                    self.noted.append(_noted(response))
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(_AGAIN_S)


@asynccontextmanager
async def talk(
    world: World,
    character: str = "nova",
    *,
    greeting: str = "",
    avatar_fallback: "api.AvatarFallback.ValueType" = api.AVATAR_FALLBACK_UNSPECIFIED,
    microphone: bool = True,
    overrides: api.SessionOverrides | None = None,
) -> AsyncIterator[Talk]:
    """A session with a person in the room; ended afterwards."""
    overrides = overrides or api.SessionOverrides()
    overrides.greeting = greeting
    if avatar_fallback:
        overrides.avatar_fallback = avatar_fallback
    created = await world.api.create(character, overrides=overrides)
    url, token = created.livekit_url, created.participant_token
    async with await Caller.join(url, token, microphone=microphone) as caller:
        one = Talk(world, created, caller)
        try:
            yield one
        except Exception as error:
            error.add_note(one.story())
            raise
        finally:
            await one.aclose()


@asynccontextmanager
async def room_admin(world: World) -> AsyncIterator[livekit.LiveKitAPI]:
    """LiveKit's own view of rooms and participants."""
    layout = world.stack.layout
    url = f"http://127.0.0.1:{layout.ports['livekit']}"
    async with livekit.LiveKitAPI(url, LIVEKIT_API_KEY, layout.secret) as admin:
        yield admin


def _noted(response: api.WatchSessionResponse) -> Noted:
    now, age_s = time.monotonic(), time.time() - response.time.ToNanoseconds() / 1e9
    return Noted(now, response.event, now - age_s)


def is_kind(kind: str) -> Match:
    """Events of one kind: session, user, turn, agent, avatar or error."""
    return lambda event: event.WhichOneof("kind") == kind


def is_avatar(step: "api.AvatarEvent.Step.ValueType") -> Match:
    """A step of the face."""
    return lambda event: event.WhichOneof("kind") == "avatar" and event.avatar.step == step


def _is_turn(number: int, *steps: "api.TurnEvent.Step.ValueType") -> Match:
    wanted = steps or (api.TurnEvent.STEP_COMMITTED,)
    return lambda event: (
        event.WhichOneof("kind") == "turn"
        and event.turn.turn == number
        and event.turn.step in wanted
    )


def _is_end(event: api.SessionEvent) -> bool:
    is_session = event.WhichOneof("kind") == "session"
    return is_session and event.session.step == api.SessionChanged.STEP_ENDED
