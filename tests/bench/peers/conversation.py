"""One person talking with one agent: questions, interruptions, and what was heard when."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers.results import Block, Interruption, Turn
from tests.bench.peers.systems import Seat, System
from tests.support.caller import Caller
from tests.support.recording import Recording
from tests.support.utterance import Spoken
from tests.support.voices import speak_all

QUESTIONS = (
    "What is the largest animal in the sea?",
    "How do bees find their way home?",
    "Can you tell me something about the moon?",
    "I would like to know how bread is made.",
    "Why is the sky blue in the morning?",
    "Please tell me a short story about a fox.",
    "What should I cook for dinner tonight?",
    "Do you know a good book about history?",
)
INTERRUPTION = "I would rather know what a mouse is and where it lives."
SILENCE_DBFS = -50.0
ANSWER_S = 12.0
"""Longest wait for the first sound of an answer."""
OVER_S = 30.0
"""Longest wait for its end."""
QUIET_S = 1.5
"""The answer is over after so much silence: on a busy machine its sentences lie apart."""
OLD_S = 0.25
"""Sound so soon after a question has begun is still the old answer."""
TRIES = 3
INTO_ANSWER_S = 1.0
"""How long the answer has been heard when it is interrupted."""
_POLL_S = 0.02
_EARLY_S = 0.05


@dataclass(frozen=True)
class Person:
    """Somebody in a room of a running system."""

    system: System
    seat: Seat
    caller: Caller

    async def ask(self, wav: Path) -> Turn:
        """Ask when it is quiet, and hear the answer out. Asked anew if the old one went on."""
        for _ in range(TRIES):
            await self._quiet()
            spoken = await self.caller.speak(wav)
            heard = await self._answer(spoken.start)
            if heard is None or heard > spoken.start + OLD_S:
                break
        # The last of their notes is on its way still.
        await asyncio.sleep(0.2)
        return judged(spoken, heard, self.system.decided(self.seat))

    async def interrupt(self, question: Path, words: Path) -> Interruption:
        """Ask, talk into the answer, and hear the next one out."""
        await self._quiet()
        asked = await self.caller.speak(question)
        heard = await self._answer(asked.start)
        if heard is None:
            return Interruption(None)
        await asyncio.sleep(max(0.0, heard + INTO_ANSWER_S - time.monotonic()))
        spoken = await self.caller.speak(words)
        await asyncio.sleep(1.0)
        stopped = silent_after(self.caller.recording, spoken)
        await self._quiet()
        return Interruption(stopped)

    async def _answer(self, since: float) -> float | None:
        """When the first sound after that was heard; None: nothing in time."""
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            heard = self.caller.recording.first_audible_after(since)
            if heard is not None:
                return heard
            await asyncio.sleep(_POLL_S)
        return None

    async def _quiet(self) -> None:
        deadline = time.monotonic() + OVER_S
        while time.monotonic() < deadline:
            last = self.caller.recording.last_audible_before(math.inf) or -math.inf
            if time.monotonic() - last > QUIET_S:
                return
            await asyncio.sleep(_POLL_S)


def judged(spoken: Spoken, heard: float | None, decided: Sequence[float]) -> Turn:
    """Voice-to-voice and the wait in it, from the end of the trimmed speech.

    An end that was seen before the person had finished is told as such, and gives no times.
    """
    mine = [at for at in decided if spoken.start < at]
    early = heard is not None and heard < spoken.end
    if early or (mine and mine[0] < spoken.end - _EARLY_S):
        return Turn(None, None, cut_off=True)
    if heard is None:
        return Turn(None, None)
    # A turn that goes on after a first idea of its end is decided anew: the last one before the
    # sound is the one that was answered.
    before = [at for at in mine if at <= heard]
    return Turn(heard - spoken.end, before[-1] - spoken.end if before else None)


def silent_after(recording: Recording, spoken: Spoken) -> float | None:
    """From the first voiced sample to the last sound before a silence; None: it went on as long
    as the person spoke."""
    quiet = recording.silent_from(spoken.start, SILENCE_DBFS, for_s=0.2)
    if quiet is None or quiet > spoken.end:
        return None
    return quiet - spoken.start


@asynccontextmanager
async def seated(system: System) -> AsyncIterator[Person]:
    """A person with an agent that listens; the session is over afterwards."""
    seat = await system.open()
    try:
        async with await Caller.join(seat.url, seat.token) as caller:
            await system.ready(seat)
            yield Person(system, seat, caller)
    finally:
        await system.close(seat)


async def talk(person: Person, block: Block, *, turns: int, interruptions: int) -> None:
    """An interruption of the very first answer, questions, the other interruptions."""
    *questions, words = await asyncio.to_thread(speak_all, [*QUESTIONS, INTERRUPTION])
    if interruptions:
        block.interruptions.append(await person.interrupt(questions[0], words))
    for number in range(turns):
        block.turns.append(await person.ask(questions[number % len(questions)]))
    for number in range(1, interruptions):
        question = questions[number % len(questions)]
        block.interruptions.append(await person.interrupt(question, words))
