"""Persons in real rooms who ask and listen: how long each waits for the first sound."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench.figures import Answers
from tests.bench.ledger import Ledger, keeping
from tests.bench.machine import Meter
from tests.bench.path import Turn, stages, words_waited_s
from tests.bench.speculation import counted
from tests.support.conversation import Noted, Talk, World, talk
from tests.support.openai_server import OpenAIServer
from tests.support.session_api import SessionApi
from tests.support.stack import RunningStack, running_stack
from tests.support.utterance import Spoken
from tests.support.voices import speak
from tests.support.waiting import until
from visavis.session.v1 import session_pb2 as api
from visavis_egress.conversation.config import PROFILES

QUESTIONS = (
    "What is the largest animal in the sea?",
    "Can you tell me how birds find their way home?",
    "Which city would you like to see one day?",
    "Why is the sky blue in the morning?",
    "How long does it take to learn a language?",
    "What do people eat for breakfast in Japan?",
)
TAKING = PROFILES["balanced"]
DELAYS_S = (TAKING.min_delay_s, TAKING.mid_delay_s, TAKING.max_delay_s)
INSTANT = {
    "VISAVIS_ASR_ENGINE": "fake",
    "VISAVIS_LLM_ENGINE": "fake",
    "VISAVIS_TTS_ENGINE": "fake",
    "VISAVIS_LLM_BASE_URL": "http://127.0.0.1:9/v1",  # leaves the model server out
    **{f"VISAVIS_{stage}_SLOTS": "64" for stage in ("ASR", "LLM", "TTS")},
    "VISAVIS_LLM_SCORE_SLOTS": "256",
}
"""Engines that take no time; what they say is in their settings."""
GAP_S = 0.06
ANSWER_WITHIN_S = 30.0
BREATH_S = 0.6
_STAGGER_S = 1.3


@dataclass(frozen=True)
class Place:
    """A running system, and what its engines take."""

    world: World
    ledger: Ledger
    kind: str
    """`embedded` or `instant`."""

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, ours as `callers`."""
        running = self.world.stack.processes.items()
        return {name: one.pid for name, one in running if one.running} | {"callers": os.getpid()}


@asynccontextmanager
async def place(kind: str, avatar: str = "audio_only") -> AsyncIterator[Place]:
    """Servers and services with embedded or instant engines; gone afterwards."""
    settings = {"VISAVIS_AVATAR": avatar, **(INSTANT if kind == "instant" else {})}
    async with running_stack(settings) as stack, opened(stack, kind) as one:
        yield one


@asynccontextmanager
async def opened(stack: RunningStack, kind: str) -> AsyncIterator[Place]:
    """Connections to a running system."""
    layout = stack.layout
    async with (
        SessionApi(layout.grpc_target, layout.secret) as client,
        keeping(layout.nats_url) as ledger,
    ):
        yield Place(World(stack, OpenAIServer(), client), ledger, kind)


@asynccontextmanager
async def heard_as(stack: RunningStack, words: str) -> AsyncIterator[None]:
    """Recognition understands these words, whatever is said."""
    real = stack.processes.pop("asr")
    await asyncio.to_thread(real.stop)
    other = await stack.start("asr", replica=1, environ={**INSTANT, "VISAVIS_ASR_FAKE_TEXT": words})
    try:
        yield
    finally:
        await asyncio.to_thread(stack.processes.pop(other.name).stop)
        stack.processes["asr"] = real
        await asyncio.to_thread(real.start)


async def ask(where: Place, sessions: int, turns: int) -> Answers:
    """So many persons at once, each in a room of their own, each with so many questions."""
    found = Answers(where.kind, sessions)
    meter = Meter(where.pids)
    before = await counted(where.world.stack)
    starting = asyncio.Barrier(sessions)
    crowd = [_Person(where, found, index, starting) for index in range(sessions)]
    async with asyncio.TaskGroup() as group:
        for person in crowd:
            group.create_task(person.ask(turns, meter))
    after = await counted(where.world.stack)
    found.speculation = {name: count - before.get(name, 0) for name, count in after.items()}
    delays = [one.jitter_buffer_s for one in crowd if one.jitter_buffer_s is not None]
    found.jitter_buffer_s = sum(delays) / len(delays) if delays else None
    return found


class _Person:
    def __init__(self, where: Place, found: Answers, index: int, starting: asyncio.Barrier) -> None:
        self._where, self._found, self._index, self._starting = where, found, index, starting
        self.jitter_buffer_s: float | None = None

    async def ask(self, turns: int, meter: Meter) -> None:
        async with talk(self._where.world) as one:
            await one.seated()
            await self._starting.wait()  # all are there before anybody speaks
            if self._index == 0:
                meter.begin()
            await asyncio.sleep(self._index * _STAGGER_S)
            for turn in range(turns):
                await self._turn(one, QUESTIONS[(self._index + turn) % len(QUESTIONS)])
            self.jitter_buffer_s = await one.caller.jitter_buffer_s()
            await self._starting.wait()  # nobody leaves before the costs are read
            if self._index == 0:
                self._read(meter)
            await self._starting.wait()

    def _read(self, meter: Meter) -> None:
        found = self._found
        found.seconds, found.pressure = round(meter.seconds, 2), round(meter.pressure, 3)
        found.processes = meter.shares()

    async def _turn(self, one: Talk, question: str) -> None:
        recording = one.caller.recording
        recording.tracks.clear()  # what nobody asks for any more costs time to search
        spoken = await one.caller.speak(await asyncio.to_thread(speak, question))
        try:
            committed = await _committed(one, spoken)
            over = await one.over(committed.event.turn.turn, within_s=ANSWER_WITHIN_S)
        except AssertionError:
            self._found.lost += 1
            return
        await asyncio.sleep(BREATH_S)
        self._found.cut_off += any(noted.stored < spoken.end for noted in _turns(one, spoken.start))
        heard = recording.first_audible_after(spoken.end)
        steps = seconds(over.waterfall)
        if heard is None or not {"endpoint", "handed_over"} <= steps.keys():
            self._found.lost += 1
            return
        engines = self._where.ledger.engines(one.session_id, over.turn)
        decided_s = committed.stored - spoken.end - words_waited_s(steps)
        turn = Turn(heard - spoken.end, decided_s, steps, engines)
        self._found.turns.append(numbers(turn))
        if self._where.kind == "instant":  # its speech is one tone: every hole is ours
            last = recording.last_audible_before(time.monotonic()) or heard
            self._found.gaps_s += recording.gaps(heard, last, longer_than_s=GAP_S)


def numbers(turn: Turn) -> dict[str, float]:
    """What is kept of an answer."""
    found = {"heard": turn.heard_s, "wait": turn.decided_s, **stages(turn, DELAYS_S)}
    return {name: round(value, 4) for name, value in found.items()}


def seconds(waterfall: api.Waterfall) -> dict[str, float]:
    """The steps that happened, in seconds."""
    return {
        field.name: value.ToTimedelta().total_seconds() for field, value in waterfall.ListFields()
    }


async def _committed(one: Talk, spoken: Spoken) -> Noted:
    """The turn that holds the end of what was said. AssertionError: there is none in time."""
    await until(lambda: _turns(one, spoken.end), "a turn", within_s=ANSWER_WITHIN_S)
    return _turns(one, spoken.end)[0]


def _turns(one: Talk, since: float) -> Sequence[Noted]:
    return [noted for noted in one.all(_is_spoken_turn) if noted.stored > since]


def _is_spoken_turn(event: api.SessionEvent) -> bool:
    turn = event.turn
    is_turn = event.WhichOneof("kind") == "turn" and turn.step == api.TurnEvent.STEP_COMMITTED
    return is_turn and turn.origin == api.TurnEvent.ORIGIN_SPEECH
