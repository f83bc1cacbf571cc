"""A room without WebRTC, with a person in it: a microphone in real time, an ear at the voice.

Frames of the microphone come when their last sample would have been spoken; the voice is played in
real time with 100 ms of queue, as the SDK does. Nothing is kept of the sound: memory that grows
would be taken for the session's.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.support.recording import AUDIBLE_DBFS, Samples, level_dbfs
from tests.support.utterance import Spoken, Utterance
from visavis_egress.room import (
    MICROPHONE_RATE_HZ,
    MicrophoneOpened,
    MicrophoneSound,
    PersonCame,
    RoomListener,
)
from visavis_runtime.subjects import BYTES_PER_SAMPLE, SPEECH_RATE_HZ

FRAME = MICROPHONE_RATE_HZ // 50
FRAME_S = FRAME / MICROPHONE_RATE_HZ
QUEUE_S = 0.1
LONGEST_ANSWER_S = 30.0
BREATH_S = 0.5
SPREAD_S = 6.0
"""Persons who ask more than once begin within this time: about one question and its answer."""
_QUIET_S = 0.4
_POLL_S = 0.05
_SILENCE = bytes(FRAME * BYTES_PER_SAMPLE)


@dataclass(frozen=True, slots=True)
class Script:
    """What a person does: waits for `go`, then asks `turns` questions, one after each answer."""

    questions: Sequence[Samples]
    """Mono s16 at 16 kHz."""
    turns: int
    go: Callable[[], Awaitable[None]]
    note: Callable[[dict[str, float]], None]
    """Takes what became of a question; all times are monotonic."""
    ready: Callable[[], None]
    done: Callable[[dict[str, float]], None]
    """Takes `cpu`, the seconds that playing this person has taken itself."""
    first: int = 0
    """The question to begin with: a crowd asks what one person asks in a long call."""
    seed: str = ""
    """Makes the pauses differ from those of other persons."""


@dataclass
class Ear:
    """What is heard of the answer to one question."""

    first: float | None = None
    """First audible frame."""
    captured: float | None = None
    """First frame handed to the room."""
    end: float = 0.0
    """How far the sound reaches that the room has."""
    gaps_s: list[float] = field(default_factory=list)

    def hear(self, pcm: bytes, now: float) -> None:
        """The room was given this."""
        start = max(now, self.end)
        if self.captured is None:
            self.captured = now
        elif start > self.end:
            self.gaps_s.append(start - self.end)
        if self.first is None and level_dbfs(np.frombuffer(pcm, dtype="<i2")) > AUDIBLE_DBFS:
            self.first = start
        self.end = start + len(pcm) / BYTES_PER_SAMPLE / SPEECH_RATE_HZ


class MirrorVoice:
    """See `visavis_egress.room.Voice`."""

    def __init__(self) -> None:
        self.ear = Ear()
        self.cpu_s = 0.0

    async def capture(self, pcm: bytes) -> None:
        began, now = time.thread_time(), time.monotonic()
        self.ear.hear(pcm, now)
        self.cpu_s += time.thread_time() - began
        if (ahead_s := self.ear.end - now - QUEUE_S) > 0:
            await asyncio.sleep(ahead_s)

    def clear(self) -> None:
        self.ear.end = min(self.ear.end, time.monotonic())

    @property
    def queued_s(self) -> float:
        return max(0.0, self.ear.end - time.monotonic())


class MirrorRoom:
    """See `visavis_egress.room.Room`. The person is there as soon as it is open."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._voice = MirrorVoice()
        self._state = ""
        self._utterance: Utterance | None = None
        self._pause = random.Random(script.seed)
        self._frames = 0
        self._cpu_s = 0.0
        self._next: asyncio.TimerHandle | None = None
        self._person: asyncio.Task[None] | None = None

    async def open(self, listener: RoomListener) -> None:
        self._tell = listener
        self._loop = asyncio.get_running_loop()
        listener(PersonCame())
        listener(MicrophoneOpened())
        self._began = time.monotonic() + self._pause.uniform(0.0, FRAME_S)
        self._wait_for_frame()
        self._person = asyncio.create_task(self._live())

    def bind(self, identity: str) -> None:
        """There is one person, and nobody else is ever bound."""

    async def show_state(self, state: str) -> None:
        self._state = state

    async def show_user_words(self, segment: str, text: str, *, final: bool = True) -> None:
        """Nobody looks."""

    async def show_agent_words(self, segment: str, delta: str, *, final: bool) -> None:
        """Nobody looks."""

    async def open_voice(self) -> MirrorVoice:
        return self._voice

    async def aclose(self) -> None:
        if self._next:
            self._next.cancel()
        if self._person:
            self._person.cancel()
            await asyncio.wait([self._person])

    # The microphone

    def _wait_for_frame(self) -> None:
        due = self._began + (self._frames + 1) * FRAME_S
        self._next = self._loop.call_later(max(0.0, due - time.monotonic()), self._on_frame)

    def _on_frame(self) -> None:
        """A late loop is late with its frames, but the person has spoken at the right time."""
        began = time.thread_time()
        spoken_at = self._began + self._frames * FRAME_S
        self._frames += 1
        self._wait_for_frame()
        pcm = _SILENCE
        if self._utterance:
            pcm = self._utterance.frame().astype("<i2").tobytes()
            if self._utterance.sent(spoken_at):
                self._utterance = None
        self._cpu_s += time.thread_time() - began
        self._tell(MicrophoneSound(pcm))

    # The person

    async def _live(self) -> None:
        await self._until(self._is_listened_to)
        self._script.ready()
        await self._script.go()
        await asyncio.sleep(self._pause.uniform(0.0, SPREAD_S * (self._script.turns > 1)))
        self._cpu_s = self._voice.cpu_s = 0.0
        questions = self._script.questions
        for turn in range(self._script.turns):
            await self._ask(questions[(self._script.first + turn) % len(questions)])
            await asyncio.sleep(BREATH_S + self._pause.uniform(0.0, BREATH_S))
        self._script.done({"cpu": self._cpu_s + self._voice.cpu_s})

    async def _ask(self, question: Samples) -> None:
        self._voice.ear = ear = Ear(end=self._voice.ear.end)
        self._utterance = utterance = Utterance(question, MICROPHONE_RATE_HZ, FRAME)
        spoken = await utterance.done
        answered = await self._until(self._is_answered, LONGEST_ANSWER_S)
        self._script.note(_noted(spoken, ear if answered else Ear()))

    def _is_listened_to(self) -> bool:
        return self._state == "listening"

    def _is_answered(self) -> bool:
        ear = self._voice.ear
        is_quiet = time.monotonic() > ear.end + _QUIET_S
        return ear.first is not None and is_quiet and self._is_listened_to()

    async def _until(self, condition: Callable[[], bool], within_s: float = 60.0) -> bool:
        deadline = time.monotonic() + within_s
        while not condition() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
        return condition()


def _noted(spoken: Spoken, ear: Ear) -> dict[str, float]:
    """`first` and `captured` are left out where nothing was heard."""
    noted = {"start": spoken.start, "end": spoken.end, "gap": max(ear.gaps_s, default=0.0)}
    if ear.first is not None and ear.captured is not None:
        noted |= {"first": ear.first, "captured": ear.captured}
    return noted
